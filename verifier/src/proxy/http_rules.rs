//! Which paths and headers the proxy passes on. Hop-by-hop headers are removed (RFC 9110 §7.6.1); the caller's
//! credential is passed on unchanged and unread.

use http::Method;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, TRANSFER_ENCODING,
};
use http::uri::{PathAndQuery, Uri};

const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

/// The keyset that was verified; the service refuses the request before it reads the body if its keyset
/// is another one.
pub const KEYSET_DIGEST: HeaderName = HeaderName::from_static("x-aci-keyset-digest");
pub const RECEIPT_ID: HeaderName = HeaderName::from_static("x-receipt-id");

/// The headers for the service. The sender sets length and host itself.
pub fn toward_upstream(from: &HeaderMap) -> HeaderMap {
    let mut kept = end_to_end(from);
    for name in [HOST, CONTENT_LENGTH, EXPECT] {
        kept.remove(name);
    }
    kept
}

/// The headers for the caller.
pub fn toward_caller(from: &HeaderMap) -> HeaderMap {
    end_to_end(from)
}

fn end_to_end(from: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = from
        .get_all(CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut kept = HeaderMap::with_capacity(from.len());
    for (name, value) in from {
        let dropped = HOP_BY_HOP.contains(&name.as_str())
            || name == TRANSFER_ENCODING
            || named.iter().any(|n| n == name.as_str());
        if !dropped {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// What serves a local request: a page of the proxy, or the service.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    Status,
    Health,
    Verdict,
    /// Forwarded unchanged.
    Service(PathAndQuery),
    NotFound,
}

pub const VERDICT_PATH: &str = "/_sealgate/verdict";

impl Target {
    pub fn from_uri(uri: &Uri) -> Self {
        match uri.path() {
            "/" => Self::Status,
            "/healthz" => Self::Health,
            VERDICT_PATH => Self::Verdict,
            path if path.starts_with("/v1/") => match uri.path_and_query() {
                Some(path) => Self::Service(path.clone()),
                None => Self::NotFound,
            },
            _ => Self::NotFound,
        }
    }
}

/// Requests that carry a prompt: their responses have receipts (ACI/1 §5).
pub fn carries_prompt(method: &Method, path: &str) -> bool {
    method == Method::POST
        && matches!(
            path,
            "/v1/chat/completions"
                | "/v1/completions"
                | "/v1/embeddings"
                | "/v1/responses"
                | "/v1/messages"
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn passes_on_the_credential_and_unknown_headers() {
        let sent = headers(&[
            ("authorization", "Bearer k"),
            ("x-stainless-lang", "python"),
            ("accept", "a"),
            ("accept", "b"),
        ]);
        assert_eq!(toward_upstream(&sent), sent);
    }

    #[test]
    fn removes_hop_by_hop_headers_and_those_named_in_connection() {
        let sent = headers(&[
            ("connection", "keep-alive, X-Private"),
            ("keep-alive", "5"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("host", "127.0.0.1"),
            ("content-length", "3"),
            ("expect", "100-continue"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("content-type", "application/json"),
        ]);
        assert_eq!(
            toward_upstream(&sent),
            headers(&[("content-type", "application/json")])
        );
    }

    #[test]
    fn a_response_keeps_its_length() {
        let received = headers(&[
            ("content-length", "12"),
            ("connection", "close"),
            ("x-receipt-id", "r"),
        ]);
        assert_eq!(
            toward_caller(&received),
            headers(&[("content-length", "12"), ("x-receipt-id", "r")])
        );
    }

    #[test]
    fn forwards_only_paths_of_the_api() {
        let target = |s: &str| Target::from_uri(&s.parse().unwrap());
        assert_eq!(
            target("/v1/models?x=1"),
            Target::Service(PathAndQuery::from_static("/v1/models?x=1"))
        );
        assert_eq!(
            target("http://elsewhere/v1/models"),
            Target::Service(PathAndQuery::from_static("/v1/models"))
        );
        assert_eq!(target("/"), Target::Status);
        assert_eq!(target("/_sealgate/verdict"), Target::Verdict);
        assert_eq!(target("/healthz"), Target::Health);
        assert_eq!(target("/metrics"), Target::NotFound);
        assert_eq!(target("/v1"), Target::NotFound);
    }
}
