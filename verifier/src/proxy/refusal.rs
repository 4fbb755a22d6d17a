//! Responses that the proxy makes itself: errors in OpenAI's form, and the local pages. This is
//! the only file that turns a refusal into HTTP. No response repeats what a caller or a service
//! sent, except the ids of failed checks, which are ours.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::request_body::BodyError;
use attest_channel::ChannelError;
use attest_core::CheckId;
use attest_core::Verdict;

/// Why the proxy did not pass a request on, or a response back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The service was reached and its evidence not accepted.
    NotAccepted {
        decision: &'static str,
        failed: Vec<CheckId>,
    },
    /// The service could not be reached.
    Unreachable(String),
    /// The service is busy making reports; `retry_after` is its `Retry-After`.
    Busy {
        retry_after: Option<Duration>,
    },
    /// The connection failed after a part of the request may have been sent.
    Broken,
    /// The keyset changed again during the second attempt.
    KeysetChanging,
    /// A receipt contradicted what was sent or received; no request is sent until a restart.
    Distrusted,
    /// `--require-receipt`, and the service names none for this response.
    NoReceipt,
    /// The service would pass the prompt to an upstream that it does not verify.
    UpstreamNotVerified,
    /// The request's model cannot be read, so that it is unknown which upstream would serve it.
    ModelUnreadable,
    /// The service has no such model.
    ModelNotFound,
    /// The service does not return its list of models to this caller.
    ModelsNotShown {
        status: Option<StatusCode>,
        reason: String,
    },
    BodyTooLarge {
        limit: usize,
    },
    BodyInterrupted,
    Method,
    Target,
}

impl Refusal {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotAccepted { .. }
            | Self::KeysetChanging
            | Self::Distrusted
            | Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable(_) | Self::Broken | Self::NoReceipt => StatusCode::BAD_GATEWAY,
            Self::UpstreamNotVerified => StatusCode::FORBIDDEN,
            Self::ModelUnreadable => StatusCode::BAD_REQUEST,
            Self::ModelNotFound => StatusCode::NOT_FOUND,
            Self::ModelsNotShown { status, .. } => match status {
                Some(status) if status.is_client_error() => *status,
                _ => StatusCode::BAD_GATEWAY,
            },
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyInterrupted => StatusCode::BAD_REQUEST,
            Self::Target => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotAccepted { .. } | Self::KeysetChanging | Self::UpstreamNotVerified => {
                "upstream_verification_failed"
            }
            Self::ModelsNotShown { .. } if self.status().is_client_error() => {
                "invalid_request_error"
            }
            Self::ModelsNotShown { .. } => "upstream_unavailable",
            Self::ModelUnreadable | Self::ModelNotFound => "invalid_request_error",
            Self::Distrusted | Self::NoReceipt => "receipt_verification_failed",
            Self::Unreachable(_) | Self::Broken | Self::Busy { .. } => "upstream_unavailable",
            Self::BodyTooLarge { .. } | Self::BodyInterrupted | Self::Method | Self::Target => {
                "invalid_request_error"
            }
        }
    }

    /// The error code, for refusals whose type is shared with others.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::UpstreamNotVerified => Some("upstream_not_verified"),
            Self::ModelUnreadable => Some("model_unreadable"),
            Self::ModelNotFound => Some("model_not_found"),
            Self::ModelsNotShown { .. } => Some("models_not_shown"),
            _ => None,
        }
    }

    pub fn message(&self) -> String {
        match self {
            Self::NotAccepted { decision, failed } if failed.is_empty() => {
                format!("The service's evidence is {decision}; nothing was sent to it.")
            }
            Self::NotAccepted { decision, failed } => format!(
                "The service's evidence is {decision}; nothing was sent to it. Not passed: {}.",
                failed.iter().map(|check| check.as_str()).collect::<Vec<_>>().join(", ")
            ),
            Self::Unreachable(stage) => {
                format!("The service could not be verified because it could not be reached ({stage}); nothing was sent to it.")
            }
            Self::Busy { .. } => "The service is busy making attestation reports, so that it could not be verified. Nothing was sent to it. Try again.".to_owned(),
            Self::Broken => "The connection to the service failed before it answered. The request may or may not have been served.".to_owned(),
            Self::KeysetChanging => "The service changed its keys twice while the request was waiting; nothing was served. Try again.".to_owned(),
            Self::Distrusted => "An earlier receipt contradicted what was sent or received. Nothing is sent until this proxy is restarted.".to_owned(),
            Self::NoReceipt => "The service named no receipt for this response, and receipts are required.".to_owned(),
            Self::UpstreamNotVerified => "The service does not mark this model confidential: it would pass the prompt to an upstream that it does not verify. Nothing was sent. (`sealgate-verify proxy --allow-unverified-upstreams` sends it anyway.)".to_owned(),
            Self::ModelUnreadable => "The body is not a JSON object that names one model, so that nothing says whether its upstream is verified. Nothing was sent.".to_owned(),
            Self::ModelNotFound => "The service has no model of this name. Nothing was sent.".to_owned(),
            Self::ModelsNotShown { reason, .. } => format!("The service does not say which of its models are confidential ({reason} for /v1/models). The prompt was not sent."),
            Self::BodyTooLarge { limit } => format!("The request body is larger than {limit} bytes."),
            Self::BodyInterrupted => "The request body ended early.".to_owned(),
            Self::Method => "This method is not supported.".to_owned(),
            Self::Target => "Only paths under /v1/ are forwarded.".to_owned(),
        }
    }

    pub fn response(&self) -> Response<Bytes> {
        let body = json!({ "error": {
            "message": self.message(), "type": self.kind(), "code": self.code(), "param": null,
        }});
        let mut response = page(self.status(), "application/json", body.to_string());
        if let Self::Busy {
            retry_after: Some(pause),
        } = self
        {
            let seconds = HeaderValue::from(pause.as_secs());
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

pub fn page(status: StatusCode, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Refusal {
    pub fn not_accepted(verdict: &Verdict) -> Self {
        Self::NotAccepted {
            decision: verdict.decision().as_str(),
            failed: verdict.obstacles().map(|(check, _)| check).collect(),
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => Self::BodyTooLarge { limit },
            BodyError::Interrupted => Self::BodyInterrupted,
        }
    }
}

impl From<ChannelError> for Refusal {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Rejected(verdict) => Self::not_accepted(&verdict),
            ChannelError::Busy { retry_after, .. } => Self::Busy { retry_after },
            other => Self::Unreachable(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_service_is_503_with_its_retry_after() {
        let retry_after = Some(Duration::from_secs(7));
        let response = Refusal::Busy { retry_after }.response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "7");
        let unstated = Refusal::Busy { retry_after: None }.response();
        assert!(!unstated.headers().contains_key(RETRY_AFTER));
    }

    #[test]
    fn a_refusal_has_openais_form_and_names_the_failed_checks() {
        let refusal = Refusal::NotAccepted {
            decision: "rejected",
            failed: vec![CheckId::ChannelSpki, CheckId::TdxMrtd],
        };
        let response = refusal.response();
        assert_eq!(response.status(), 503);
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["error"]["type"], "upstream_verification_failed");
        assert_eq!(body["error"]["code"], serde_json::Value::Null);
        let message = body["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("channel.spki, tdx.measurement.mrtd"),
            "{message}"
        );
        assert!(message.contains("nothing was sent"), "{message}");
    }
}
