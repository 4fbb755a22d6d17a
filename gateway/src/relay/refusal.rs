//! Answering with an error instead of an inference, and recording that.

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::upstream_refusal::{RefusalKind, UpstreamRefusal};
use crate::errors::ApiError;
use crate::ledger::Outcome;
use crate::receipt::{Ending, Recorder};

/// Why there is no inference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Ours.
    Own(ApiError),
    /// The upstream's, translated.
    Upstream(UpstreamRefusal),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Refusal::Own(error)
    }
}

impl Refusal {
    /// The response. Its receipt is filed first.
    pub fn answer(self, mut recorder: Recorder) -> Response<Body> {
        let outcome = self.outcome();
        let (response, body) = match self {
            Refusal::Own(error) => {
                recorder.refused(&error);
                let body = error.body();
                (error.into_response().map(|_| ()), body)
            }
            Refusal::Upstream(refusal) => refusal.response(),
        };
        recorder.answering(response.status().as_u16());
        recorder.emitting(&body);
        recorder.finish(Ending::Whole(outcome));
        response.map(|_| Body::from(body))
    }

    fn outcome(&self) -> Outcome {
        match self {
            Refusal::Own(error) => match error {
                ApiError::UpstreamVerificationFailed => Outcome::VerificationFailed,
                ApiError::UpstreamUnavailable | ApiError::UpstreamVerificationBusy => {
                    Outcome::UpstreamUnavailable
                }
                ApiError::UpstreamTimeout => Outcome::UpstreamTimeout,
                ApiError::Internal | ApiError::RetentionFailed => Outcome::Failed,
                _ => Outcome::Refused,
            },
            Refusal::Upstream(_) => Outcome::UpstreamRejected,
        }
    }
}

impl UpstreamRefusal {
    fn response(self) -> (Response<()>, Bytes) {
        let (status, kind, code, message) = self.kind.words();
        let error = json!({ "message": message, "type": kind, "param": null, "code": code });
        let body = Bytes::from(json!({ "error": error }).to_string());
        let mut response = Response::new(());
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let RefusalKind::Busy {
            retry_after: Some(seconds),
            ..
        } = self.kind
        {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        (response, body)
    }
}

impl RefusalKind {
    /// Status, `type`, `code` and sentence, as OpenAI's clients expect them.
    fn words(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        const INVALID: &str = "invalid_request_error";
        const SERVER: &str = "server_error";
        match self {
            RefusalKind::InvalidRequest {
                code: Some("context_length_exceeded"),
            } => (
                StatusCode::BAD_REQUEST,
                INVALID,
                "context_length_exceeded",
                "The request is longer than the context window of the model.",
            ),
            RefusalKind::InvalidRequest { code } => (
                StatusCode::BAD_REQUEST,
                INVALID,
                code.unwrap_or("upstream_rejected"),
                "The upstream serving this model refused the request as invalid.",
            ),
            RefusalKind::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                INVALID,
                "request_too_large",
                "The request is larger than the upstream serving this model accepts.",
            ),
            RefusalKind::Busy {
                overloaded: false, ..
            } => (
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_error",
                "rate_limit_exceeded",
                "The upstream serving this model has too many requests.",
            ),
            RefusalKind::Busy {
                overloaded: true, ..
            } => (
                StatusCode::SERVICE_UNAVAILABLE,
                SERVER,
                "upstream_overloaded",
                "The upstream serving this model is overloaded.",
            ),
            RefusalKind::TimedOut => (
                StatusCode::GATEWAY_TIMEOUT,
                SERVER,
                "upstream_timeout",
                "The upstream serving this model took too long.",
            ),
            RefusalKind::Unusable => (
                StatusCode::BAD_GATEWAY,
                SERVER,
                "upstream_failed",
                "The upstream serving this model failed.",
            ),
        }
    }
}
