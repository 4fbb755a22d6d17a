//! Which headers cross the proxy. Hop-by-hop headers do not (RFC 9110 §7.6.1); the caller's
//! credential does, unchanged and unread.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, TRANSFER_ENCODING,
};

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

/// Names the keyset the caller is bound to; the service refuses before it reads a body if its own
/// is another one.
pub const KEYSET_DIGEST: HeaderName = HeaderName::from_static("x-aci-keyset-digest");
pub const RECEIPT_ID: HeaderName = HeaderName::from_static("x-receipt-id");

/// What goes to the service. Length and host are set anew by the sender.
pub fn toward_upstream(from: &HeaderMap) -> HeaderMap {
    let mut kept = end_to_end(from);
    for name in [HOST, CONTENT_LENGTH, EXPECT] {
        kept.remove(name);
    }
    kept
}

/// What goes back to the caller.
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
    fn the_credential_and_unknown_headers_cross_unchanged() {
        let sent = headers(&[
            ("authorization", "Bearer k"),
            ("x-stainless-lang", "python"),
            ("accept", "a"),
            ("accept", "b"),
        ]);
        assert_eq!(toward_upstream(&sent), sent);
    }

    #[test]
    fn hop_by_hop_headers_and_those_named_in_connection_stay_behind() {
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
}
