//! Errors instead of an answer: the response and its receipt.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

use super::body::ResponseBody;
use super::retry_after::RETRY_AFTER_MS;
use super::upstream_refusal::{OperatorFault, RefusalKind, UpstreamRefusal};
use crate::receipt::{Ending, Routed, Unfinished};
use gateway_base::errors::{ApiError, ListedError, SHOULD_RETRY};
use gateway_base::metering::Outcome;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Our own error.
    Own(ApiError),
    /// The upstream's error, translated.
    Upstream(UpstreamRefusal),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Refusal::Own(error)
    }
}

impl Refusal {
    /// The response. Its receipt is stored first.
    pub fn into_response(self, mut receipt: Unfinished<Routed>) -> Response<ResponseBody> {
        let outcome = self.outcome();
        let (response, body) = match self {
            Refusal::Own(error) => {
                receipt.count_policy_refusal(&error);
                let body = error.body();
                (error.into_response().map(|_| ()), body)
            }
            Refusal::Upstream(refusal) => {
                receipt.upstream_failed(refusal.cause());
                refusal.response()
            }
        };
        let mut receipt = receipt.returning(response.status().as_u16());
        // The receipt hashes the same bytes that are sent: both come from one value.
        receipt.add_body(&body);
        receipt.finish(Ending::Complete(outcome));
        response.map(|()| ResponseBody::Own(Full::new(body)))
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

/// OpenAI's packages do not wait longer than this within a call; they would repeat the request at once.
const MAX_CLIENT_WAIT: Duration = Duration::from_secs(60);

impl UpstreamRefusal {
    fn response(self) -> (Response<()>, Bytes) {
        let body = self.body();
        let mut response = Response::new(());
        *response.status_mut() = self.kind.parts().0;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if !self.kind.may_be_repeated() {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if let RefusalKind::Busy {
            retry_after: Some(wait),
            ..
        } = self.kind
        {
            let fraction = wait.subsec_nanos() > 0;
            let seconds = wait.as_secs() + u64::from(fraction);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            if let (true, Ok(millis)) = (fraction, u64::try_from(wait.as_millis())) {
                headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis));
            }
        }
        (response, body)
    }

    fn body(self) -> Bytes {
        let (_, kind, code, message) = self.kind.parts();
        let error = json!({ "message": message, "type": kind, "param": null, "code": code });
        Bytes::from(json!({ "error": error }).to_string())
    }

    /// As an event in a stream.
    pub(super) fn event(self) -> Bytes {
        Bytes::from([b"data: ", &self.body()[..], b"\n\n"].concat())
    }
}

/// The errors that clients get for refusals of upstreams, for the reference page.
pub fn shown_refusals() -> Vec<ListedError> {
    let shown = RefusalKind::each().map(|kind| {
        let (status, kind, code, _) = kind.parts();
        ListedError {
            status: status.as_u16(),
            kind,
            code: Some(code),
        }
    });
    shown.collect()
}

impl RefusalKind {
    /// Whether the same request may succeed a moment later.
    fn may_be_repeated(self) -> bool {
        match self {
            RefusalKind::InvalidRequest { .. }
            | RefusalKind::TooLarge
            | RefusalKind::Operator(_) => false,
            RefusalKind::Busy { retry_after, .. } => {
                retry_after.is_none_or(|wait| wait <= MAX_CLIENT_WAIT)
            }
            RefusalKind::TimedOut | RefusalKind::Failed => true,
        }
    }

    /// Status, `type`, `code` and message, as OpenAI's clients expect them.
    fn parts(self) -> (StatusCode, &'static str, &'static str, &'static str) {
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
            RefusalKind::Failed => (
                StatusCode::BAD_GATEWAY,
                SERVER,
                "upstream_failed",
                "The upstream serving this model failed.",
            ),
            RefusalKind::Operator(fault) => {
                let (code, message) = fault.code_and_message();
                (StatusCode::FAILED_DEPENDENCY, SERVER, code, message)
            }
        }
    }
}

impl OperatorFault {
    /// Code and message. The status is 424 for all of them: not 401, 402, 403 or 404, which a client would take for a problem
    /// with its own key, account or model, and not 5xx, after which every client repeats the request, with the prompt.
    pub(super) const fn code_and_message(self) -> (&'static str, &'static str) {
        match self {
            OperatorFault::Credentials => (
                "upstream_credentials_refused",
                "The upstream serving this model refused the credentials of this service. Its operator has to correct that; your API key is not the reason.",
            ),
            OperatorFault::Quota => (
                "upstream_quota_exhausted",
                "The account of this service at the upstream serving this model is used up. Its operator has to correct that.",
            ),
            OperatorFault::NotFound => (
                "upstream_model_not_found",
                "The upstream that is to serve this model does not have it. The operator of this service has to correct that.",
            ),
            OperatorFault::Other => (
                "upstream_refused",
                "The upstream serving this model does not take requests of this service. Its operator has to correct that.",
            ),
        }
    }
}
