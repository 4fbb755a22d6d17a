//! Where HTTP errors are born, in the shape OpenAI's clients understand (ACI/1 §10).
//!
//! A message is written here, once, and holds nothing a caller or an upstream said: no model name, no header, no
//! body, no upstream's words. What varies is a number or one of our own identifiers.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

/// Everything this service answers instead of what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// No usable `Authorization: Bearer` header.
    MissingKey,
    /// A key that does not exist or was revoked.
    InvalidKey,
    /// A receipt was asked for without a credential.
    ReceiptUnauthorized,
    UnknownRoute,
    /// The path exists, for these methods.
    MethodNotAllowed {
        allow: &'static str,
    },
    /// The model named in the body or the path is not configured.
    ModelNotFound,
    ReceiptNotFound,
    SessionNotFound,
    /// This service has no hardware evidence to publish.
    NoReport,
    /// The body or the query is not what the endpoint takes.
    Invalid(Invalid),
    BodyTimeout,
    BodyTooLarge {
        limit: u64,
    },
    UnsupportedEncoding,
    UnsupportedMediaType,
    /// The caller pinned another keyset than the one of this connection.
    KeysetPrecondition,
    /// The caller allows less retention than the policy in force.
    RetentionPrecondition,
    /// The caller pinned sessions and none of them can serve.
    SessionNotAccepted,
    /// Too many requests in flight for this key.
    KeyBusy,
    /// Too many requests in flight for the whole service.
    ServiceBusy,
    /// Too many challenged reports waiting for the hardware.
    AttestationBusy {
        retry_after: Duration,
    },
    /// The hardware did not produce evidence.
    AttestationFailed,
    /// No upstream could be verified; the prompt was not forwarded.
    UpstreamVerificationFailed,
    /// No upstream could be reached, or it broke off.
    UpstreamUnavailable,
    UpstreamTimeout,
    /// An upstream refused the request; its own words are not passed on.
    UpstreamRejected {
        status: UpstreamStatus,
    },
    Internal,
}

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

/// What exactly is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// `nonce` is not 64 lowercase hex characters, or is there twice.
    Nonce,
    Query,
    BodyUnreadable,
    BodyLength,
    NotUtf8,
    NotJson,
    NotAnObject,
    ModelMissing,
    ModelType,
    StreamType,
    StreamOptions,
    EmbeddingsStream,
    ProviderType,
    /// `provider` has an `aci_` member that ACI/1 does not define.
    UnknownConstraint,
    ConstraintValue,
    ConstraintConflict,
    /// A member we read is there twice, or in a spelling another parser may take for it.
    Ambiguous(Member),
    KeysetHeader,
    RetentionHeader,
}

/// The top-level members of a body that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    Model,
    Stream,
    StreamOptions,
    Provider,
}

impl Member {
    pub const ALL: [Member; 4] = [
        Member::Model,
        Member::Stream,
        Member::StreamOptions,
        Member::Provider,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Member::Model => "model",
            Member::Stream => "stream",
            Member::StreamOptions => "stream_options",
            Member::Provider => "provider",
        }
    }
}

/// The parts of OpenAI's error object.
struct Shape {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<&'static str>,
    message: String,
}

const INVALID_REQUEST: &str = "invalid_request_error";

impl ApiError {
    pub fn status(&self) -> StatusCode {
        self.shape().status
    }

    /// The error's `type`, which is what metrics and logs call it.
    pub fn kind(&self) -> &'static str {
        self.shape().kind
    }

    /// The response body; the same bytes every time, so that a receipt can commit to them.
    pub fn body(&self) -> Bytes {
        let Shape {
            kind,
            code,
            param,
            message,
            ..
        } = self.shape();
        let error =
            serde_json::json!({ "message": message, "type": kind, "param": param, "code": code });
        Bytes::from(serde_json::json!({ "error": error }).to_string())
    }

    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(after) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        match self {
            ApiError::MethodNotAllowed { allow } => {
                headers.insert(ALLOW, HeaderValue::from_static(allow));
            }
            ApiError::MissingKey | ApiError::InvalidKey | ApiError::ReceiptUnauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }

    /// How long to wait before asking again, where that helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ApiError::KeyBusy
            | ApiError::ServiceBusy
            | ApiError::UpstreamRejected {
                status: UpstreamStatus::RateLimited,
            } => Some(Duration::from_secs(1)),
            ApiError::AttestationBusy { retry_after } => Some(*retry_after),
            ApiError::UpstreamVerificationFailed => Some(Duration::from_secs(5)),
            _ => None,
        }
    }

    fn shape(&self) -> Shape {
        use StatusCode as S;
        let (status, kind, code, message) = match self {
            ApiError::MissingKey => (
                S::UNAUTHORIZED,
                INVALID_REQUEST,
                None,
                "No API key was given. Send it as a bearer token: Authorization: Bearer YOUR_KEY.",
            ),
            ApiError::InvalidKey => (
                S::UNAUTHORIZED,
                INVALID_REQUEST,
                Some("invalid_api_key"),
                "The API key is not valid.",
            ),
            ApiError::ReceiptUnauthorized => (
                S::UNAUTHORIZED,
                "unauthorized",
                None,
                "A receipt is shown only to the API key that made the request. Send it as a bearer token.",
            ),
            ApiError::UnknownRoute => (
                S::NOT_FOUND,
                INVALID_REQUEST,
                Some("unknown_url"),
                "There is nothing at this path.",
            ),
            ApiError::MethodNotAllowed { .. } => (
                S::METHOD_NOT_ALLOWED,
                INVALID_REQUEST,
                Some("method_not_supported"),
                "This path does not take this method.",
            ),
            ApiError::ModelNotFound => (
                S::NOT_FOUND,
                INVALID_REQUEST,
                Some("model_not_found"),
                "The model does not exist, or this API key may not use it.",
            ),
            ApiError::ReceiptNotFound => (
                S::NOT_FOUND,
                "not_found",
                None,
                "There is no such receipt, or it belongs to another API key.",
            ),
            ApiError::SessionNotFound => {
                (S::NOT_FOUND, "not_found", None, "There is no such session.")
            }
            ApiError::NoReport => (
                S::NOT_FOUND,
                "not_found",
                None,
                "This service does not run in a TEE and publishes no attestation report.",
            ),
            ApiError::Invalid(invalid) => return invalid.shape(),
            ApiError::BodyTimeout => (
                S::REQUEST_TIMEOUT,
                INVALID_REQUEST,
                Some("request_timeout"),
                "The request body took too long to arrive.",
            ),
            ApiError::BodyTooLarge { limit } => {
                return Shape {
                    status: S::PAYLOAD_TOO_LARGE,
                    kind: INVALID_REQUEST,
                    code: Some("request_too_large"),
                    param: None,
                    message: format!(
                        "The request body is larger than the {limit} bytes accepted here."
                    ),
                };
            }
            ApiError::UnsupportedEncoding => (
                S::UNSUPPORTED_MEDIA_TYPE,
                INVALID_REQUEST,
                Some("unsupported_content_encoding"),
                "Compressed request bodies are not accepted; send the body without Content-Encoding.",
            ),
            ApiError::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                INVALID_REQUEST,
                Some("unsupported_content_type"),
                "The request body must be JSON: Content-Type: application/json.",
            ),
            ApiError::KeysetPrecondition => (
                S::PRECONDITION_FAILED,
                "precondition_failed",
                Some("keyset_changed"),
                "The keyset named in X-ACI-Keyset-Digest is not the one serving this connection. Verify the service again.",
            ),
            ApiError::RetentionPrecondition => (
                S::PRECONDITION_FAILED,
                "precondition_failed",
                Some("retention_not_allowed"),
                "The retention policy in force keeps more than X-Sealgate-Retention allows.",
            ),
            ApiError::SessionNotAccepted => (
                S::PRECONDITION_FAILED,
                "session_not_accepted",
                None,
                "None of the sessions in provider.aci_session_ids can serve this request. It was not forwarded.",
            ),
            ApiError::KeyBusy => (
                S::TOO_MANY_REQUESTS,
                "rate_limit_error",
                Some("rate_limit_exceeded"),
                "Too many requests are in flight for this API key.",
            ),
            ApiError::ServiceBusy => (
                S::TOO_MANY_REQUESTS,
                "rate_limit_error",
                Some("rate_limit_exceeded"),
                "The service has too many requests in flight.",
            ),
            ApiError::AttestationBusy { .. } => (
                S::TOO_MANY_REQUESTS,
                "rate_limit_error",
                Some("rate_limit_exceeded"),
                "Too many attestation reports are waiting for the hardware.",
            ),
            ApiError::AttestationFailed => (
                S::SERVICE_UNAVAILABLE,
                "server_error",
                Some("attestation_failed"),
                "The hardware did not produce evidence. Try again.",
            ),
            ApiError::UpstreamVerificationFailed => (
                S::SERVICE_UNAVAILABLE,
                "upstream_verification_failed",
                None,
                "No upstream for this model could be verified. The request was not forwarded.",
            ),
            ApiError::UpstreamUnavailable => (
                S::BAD_GATEWAY,
                "server_error",
                Some("upstream_unavailable"),
                "No upstream for this model could answer.",
            ),
            ApiError::UpstreamTimeout => (
                S::GATEWAY_TIMEOUT,
                "server_error",
                Some("upstream_timeout"),
                "The upstream took too long to answer.",
            ),
            ApiError::UpstreamRejected { status } => return status.shape(),
            ApiError::Internal => (
                S::INTERNAL_SERVER_ERROR,
                "server_error",
                None,
                "The service failed to handle the request.",
            ),
        };
        Shape {
            status,
            kind,
            code,
            param: None,
            message: message.to_owned(),
        }
    }
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

    fn shape(self) -> Shape {
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

impl Invalid {
    fn shape(self) -> Shape {
        let (param, message) = match self {
            Invalid::Nonce => (
                Some("nonce"),
                "nonce must be given at most once, as exactly 64 lowercase hex characters.",
            ),
            Invalid::Query => (None, "A parameter of the query is not understood."),
            Invalid::BodyUnreadable => (None, "The request body broke off or could not be read."),
            Invalid::BodyLength => (None, "Content-Length is not a number."),
            Invalid::NotUtf8 => (None, "The request body is not UTF-8."),
            Invalid::NotJson => (None, "The request body is not valid JSON."),
            Invalid::NotAnObject => (None, "The request body must be a JSON object."),
            Invalid::ModelMissing => (Some("model"), "The request names no model."),
            Invalid::ModelType => (
                Some("model"),
                "model must be a non-empty string of at most 256 bytes.",
            ),
            Invalid::StreamType => (Some("stream"), "stream must be true, false or null."),
            Invalid::StreamOptions => (
                Some("stream_options"),
                "stream_options must be an object, and include_usage in it true, false or null, given once.",
            ),
            Invalid::EmbeddingsStream => (Some("stream"), "Embeddings cannot be streamed."),
            Invalid::ProviderType => (Some("provider"), "provider must be an object."),
            Invalid::UnknownConstraint => (
                Some("provider"),
                "provider has an aci_ member that this service does not know.",
            ),
            Invalid::ConstraintValue => (
                Some("provider"),
                "provider.aci_verified must be true or false, and provider.aci_session_ids a non-empty list of at most 64 session ids of 64 lowercase hex characters, each member given once.",
            ),
            Invalid::ConstraintConflict => (
                Some("provider"),
                "provider.aci_session_ids cannot be combined with aci_verified: false.",
            ),
            Invalid::Ambiguous(member) => {
                return Self::shape_with(
                    Some(member.name()),
                    format!(
                        "{} is given more than once, or in another spelling.",
                        member.name()
                    ),
                );
            }
            Invalid::KeysetHeader => (
                None,
                "X-ACI-Keyset-Digest must be given once, as sha256: and 64 lowercase hex characters.",
            ),
            Invalid::RetentionHeader => (
                None,
                "X-Sealgate-Retention must be given once, as zero or metadata.",
            ),
        };
        Self::shape_with(param, message.to_owned())
    }

    fn shape_with(param: Option<&'static str>, message: String) -> Shape {
        Shape {
            status: StatusCode::BAD_REQUEST,
            kind: INVALID_REQUEST,
            code: None,
            param,
            message,
        }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        ApiError::Invalid(invalid)
    }
}

impl axum::response::IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        ApiError::into_response(self)
    }
}
