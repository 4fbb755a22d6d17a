//! Refusals of upstreams, told in our words.

use http::StatusCode;

use super::{INVALID_REQUEST, Shape};

/// An upstream's refusal, as much of it as is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamStatus {
    /// 400, 404, 413, 422: the request itself was not to its liking.
    BadRequest,
    /// 429.
    RateLimited,
    /// 401, 403 and anything else that is ours to mend.
    Misconfigured,
    /// 5xx.
    Failed,
}

impl UpstreamStatus {
    /// Sorts a status an upstream answered instead of 2xx.
    pub fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            429 => Self::RateLimited,
            400 | 404 | 413 | 422 => Self::BadRequest,
            500.. => Self::Failed,
            _ => Self::Misconfigured,
        }
    }

    pub(super) fn shape(self) -> Shape {
        let (status, kind, code, message) = match self {
            Self::BadRequest => (
                StatusCode::BAD_REQUEST,
                INVALID_REQUEST,
                "upstream_rejected",
                "The upstream serving this model refused the request as invalid.",
            ),
            Self::RateLimited => (
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_error",
                "rate_limit_exceeded",
                "The upstream serving this model has too many requests.",
            ),
            Self::Misconfigured => (
                StatusCode::BAD_GATEWAY,
                "server_error",
                "upstream_rejected",
                "The upstream serving this model did not accept this service.",
            ),
            Self::Failed => (
                StatusCode::BAD_GATEWAY,
                "server_error",
                "upstream_failed",
                "The upstream serving this model failed.",
            ),
        };
        Shape {
            status,
            kind,
            code: Some(code),
            param: None,
            message: message.to_owned(),
        }
    }
}
