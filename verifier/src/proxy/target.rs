//! Where a local request goes: a page of the proxy's own, or a path of the service.

use http::Method;
use http::uri::{PathAndQuery, Uri};

#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// A page for a person.
    Status,
    Health,
    Verdict,
    /// Forwarded as it is.
    Service(PathAndQuery),
    Nowhere,
}

pub const VERDICT_PATH: &str = "/_sealgate/verdict";

impl Target {
    pub fn of(uri: &Uri) -> Self {
        match uri.path() {
            "/" => Self::Status,
            "/healthz" => Self::Health,
            VERDICT_PATH => Self::Verdict,
            path if path.starts_with("/v1/") => match uri.path_and_query() {
                Some(asked) => Self::Service(asked.clone()),
                None => Self::Nowhere,
            },
            _ => Self::Nowhere,
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

    #[test]
    fn only_paths_of_the_api_are_forwarded() {
        let of = |s: &str| Target::of(&s.parse().unwrap());
        assert_eq!(
            of("/v1/models?x=1"),
            Target::Service(PathAndQuery::from_static("/v1/models?x=1"))
        );
        assert_eq!(
            of("http://elsewhere/v1/models"),
            Target::Service(PathAndQuery::from_static("/v1/models"))
        );
        assert_eq!(of("/"), Target::Status);
        assert_eq!(of("/_sealgate/verdict"), Target::Verdict);
        assert_eq!(of("/healthz"), Target::Health);
        assert_eq!(of("/metrics"), Target::Nowhere);
        assert_eq!(of("/v1"), Target::Nowhere);
    }
}
