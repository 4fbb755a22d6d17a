//! Every HTTP error of the service, in the format of OpenAI's API (ACI/1 §10).
//!
//! Each message is defined here, once. It contains no text of a caller or an upstream: no model name, no header, no
//! body. Only numbers, identifiers of ours and the operator's codes of rules vary. Errors about what administrators sent are
//! the exception: policies that cannot be read or set, and members that a body must not have are quoted to the same
//! administrator.

mod catalogue;
mod directory;
mod head;
mod invalid;
mod rate_limit;
mod token;

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, Response, StatusCode};

pub use catalogue::{ListedError, list_errors};
pub use head::HeadFault;
pub use invalid::{Invalid, Member, UnknownMember};
pub use rate_limit::add_headers as add_rate_headers;
pub use token::TokenFault;

use crate::quota::LimitRefusal;
use crate::request::{Holder, Label, Name};
use attest_core::UnixTime;

/// Every error response of this service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// No usable `Authorization: Bearer` header.
    MissingKey,
    /// A key that does not exist or was revoked.
    InvalidKey,
    /// The key's time is over.
    KeyExpired,
    /// An operator has blocked the key.
    KeyBlocked,
    /// The key may not be used from the peer's address.
    KeyNetwork,
    /// The key may not be used for the endpoint.
    KeyEndpoint,
    /// The key may not be used for the model that the request names.
    KeyModel,
    /// The active policy keeps more of the request than the key allows.
    KeyRetention,
    /// The authorization policy does not allow the request; the code of the rule that decided.
    NotAuthorized {
        code: Name,
    },
    /// The organisation, the tenant or the user of the caller is disabled.
    Disabled(Holder),
    /// The header of this label names no value that is registered for the tenant.
    LabelUnknown(Label),
    /// The tenant requires this label, and the request does not have its header.
    LabelMissing(Label),
    /// A token (JWT) that is refused.
    Token(TokenFault),
    /// The administrator does not have the role that the request needs.
    RoleNeeded {
        role: &'static str,
    },
    /// A retention policy, or its signatures, cannot be read.
    PolicyUnreadable {
        reason: String,
    },
    /// A retention policy cannot be set.
    PolicyRefused {
        reason: String,
    },
    /// A budget or a credit cannot be read.
    BudgetUnreadable {
        reason: String,
    },
    /// There is a budget of that id already.
    BudgetExists,
    /// There is no budget of that id.
    BudgetNotFound,
    /// A receipt was requested without a credential.
    ReceiptUnauthorized,
    UnknownRoute,
    /// The path exists, for other methods: these.
    MethodNotAllowed {
        allow: &'static str,
    },
    /// The model named in the body or the path is not configured.
    ModelNotFound,
    ReceiptNotFound,
    SessionNotFound,
    /// There is no active API key of that id.
    KeyNotFound,
    OrganisationNotFound,
    TenantNotFound,
    UserNotFound,
    /// There is one of that name already.
    NameTaken(Holder),
    /// It cannot be removed: it has active API keys.
    HasActiveKeys {
        keys: u64,
    },
    /// The organisation cannot be removed: it has tenants.
    HasTenants {
        tenants: u64,
    },
    RecordNotFound,
    /// There is no limit of that id.
    LimitNotFound,
    /// Under the policy that the record was sealed under, only the operator may delete it.
    RecordNotDeletable,
    /// The audit log has no such file, or does not have it yet.
    LogFileNotFound,
    /// The receipt exists, but the audit log's newest head does not include it yet.
    ReceiptNotLogged,
    /// This service has no hardware evidence to publish.
    NoReport,
    /// The body or the query is not valid for the endpoint.
    Invalid(Invalid),
    /// The body of an administrator's request has a member that the path does not take.
    UnknownMember(UnknownMember),
    /// The request's head, or how it frames its body, is malformed.
    Head(HeadFault),
    BodyTimeout,
    BodyTooLarge {
        limit: u64,
    },
    UnsupportedEncoding,
    UnsupportedMediaType,
    /// The caller requires a keyset other than that of this connection.
    KeysetPrecondition,
    /// The caller allows less retention than the active policy.
    RetentionPrecondition,
    /// The policy requires a record of the request, and it cannot be written.
    RetentionFailed,
    /// The caller requires certain sessions, and none of them can serve.
    SessionNotAccepted,
    /// A budget has no room for the request.
    OverBudget {
        budget: Name,
        resets_at: Option<UnixTime>,
    },
    /// The credit of the tenant or its organisation does not suffice for the request.
    NoCredit,
    /// Money is limited, and the model has no price.
    NotPriced,
    /// Too many requests in flight for this key.
    KeyBusy,
    /// A limit that an operator set.
    RateLimited(Box<LimitRefusal>),
    /// Too many requests in flight for the whole service.
    ServiceBusy,
    /// The epoch of this connection has ended: requests are served on new connections only.
    EpochEnded,
    /// Too many challenged reports waiting for the hardware.
    AttestationBusy {
        retry_after: Duration,
    },
    /// The hardware did not produce evidence.
    AttestationFailed,
    /// No upstream could be verified; the prompt was not forwarded.
    UpstreamVerificationFailed,
    /// No upstream sent a report in time; they may be genuine.
    UpstreamVerificationBusy,
    /// No upstream could be reached, or its response was aborted.
    UpstreamUnavailable,
    UpstreamTimeout,
    Internal,
}

/// The parts of OpenAI's error object.
struct Shape {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<&'static str>,
    message: String,
}

/// Tells SDKs whether to send the same request again, whatever they make of its status.
pub const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

const INVALID_REQUEST: &str = "invalid_request_error";
const PERMISSION: &str = "permission_error";
const NOT_AUTHORIZED: &str = "not_authorized";
/// OpenAI's type of such errors. Its own status is 429, which SDKs repeat; 402 they do not.
const QUOTA: &str = "insufficient_quota";

impl ApiError {
    pub fn status(&self) -> StatusCode {
        self.shape().status
    }

    /// The error's `type`, which is also its name in metrics and logs.
    pub fn kind(&self) -> &'static str {
        self.shape().kind
    }

    /// The error's code if a policy of the operator, the caller or the service is the reason for it: the audit log
    /// counts these. Malformed requests, failures and temporary overload are not counted.
    pub fn refused_by_policy(&self) -> Option<Cow<'static, str>> {
        match self {
            ApiError::NotAuthorized { code } => Some(format!("{NOT_AUTHORIZED}:{code}").into()),
            ApiError::KeyExpired
            | ApiError::KeyBlocked
            | ApiError::KeyNetwork
            | ApiError::KeyEndpoint
            | ApiError::KeyModel
            | ApiError::KeyRetention
            | ApiError::Disabled(_)
            | ApiError::LabelUnknown(_)
            | ApiError::LabelMissing(_)
            | ApiError::KeysetPrecondition
            | ApiError::RetentionPrecondition
            | ApiError::SessionNotAccepted
            | ApiError::OverBudget { .. }
            | ApiError::NoCredit
            | ApiError::NotPriced
            | ApiError::UpstreamVerificationFailed => {
                let shape = self.shape();
                Some(shape.code.unwrap_or(shape.kind).into())
            }
            _ => None,
        }
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
            // Rounded up: a client that retries too early has to wait again.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        match self {
            ApiError::MethodNotAllowed { allow } => {
                headers.insert(ALLOW, HeaderValue::from_static(allow));
            }
            ApiError::MissingKey
            | ApiError::InvalidKey
            | ApiError::KeyExpired
            | ApiError::ReceiptUnauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            ApiError::Token(TokenFault::Refused(_)) => {
                let invalid = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                headers.insert(WWW_AUTHENTICATE, invalid);
            }
            ApiError::RateLimited(refusal) => rate_limit::add_headers(headers, &refusal.state),
            // SDKs decide by this header whether to send a 421 again; the connection cannot serve it in any case.
            ApiError::EpochEnded => {
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("true"));
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }

    /// How long to wait before a retry, if a retry can succeed.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ApiError::KeyBusy
            | ApiError::ServiceBusy
            | ApiError::ReceiptNotLogged
            | ApiError::Token(TokenFault::Unavailable) => Some(Duration::from_secs(1)),
            ApiError::AttestationBusy { retry_after } => Some(*retry_after),
            ApiError::RateLimited(refusal) => Some(refusal.retry_after),
            ApiError::UpstreamVerificationFailed | ApiError::UpstreamVerificationBusy => {
                Some(Duration::from_secs(5))
            }
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
            ApiError::KeyExpired => (
                S::UNAUTHORIZED,
                INVALID_REQUEST,
                Some("key_expired"),
                "The API key has expired.",
            ),
            ApiError::KeyBlocked => (
                S::FORBIDDEN,
                PERMISSION,
                Some("key_blocked"),
                "The API key is blocked.",
            ),
            ApiError::KeyNetwork => (
                S::FORBIDDEN,
                PERMISSION,
                Some("network_not_allowed"),
                "The API key may not be used from this address.",
            ),
            ApiError::KeyEndpoint => (
                S::FORBIDDEN,
                PERMISSION,
                Some("endpoint_not_allowed"),
                "The API key may not be used for this endpoint.",
            ),
            ApiError::KeyModel => {
                return Shape {
                    status: S::FORBIDDEN,
                    kind: PERMISSION,
                    code: Some("model_not_allowed"),
                    param: Some("model"),
                    message: "The API key may not be used for this model.".to_owned(),
                };
            }
            ApiError::KeyRetention => (
                S::FORBIDDEN,
                PERMISSION,
                Some("key_retention_exceeded"),
                "The active retention policy keeps more of this request than the API key allows. It was not forwarded.",
            ),
            ApiError::NotAuthorized { code } => {
                return Shape {
                    status: S::FORBIDDEN,
                    kind: PERMISSION,
                    code: Some(NOT_AUTHORIZED),
                    param: None,
                    message: format!(
                        "The authorization policy does not allow this request: {code}. It was not forwarded."
                    ),
                };
            }
            ApiError::Disabled(holder) => return directory::disabled(*holder),
            ApiError::LabelUnknown(label) => return directory::label_unknown(*label),
            ApiError::LabelMissing(label) => return directory::label_missing(*label),
            ApiError::Token(fault) => return fault.shape(),
            // Only administrators get these, about the policy that they sent.
            ApiError::PolicyUnreadable { reason } => {
                return Shape {
                    status: S::BAD_REQUEST,
                    kind: INVALID_REQUEST,
                    code: Some("policy_unreadable"),
                    param: Some("policy"),
                    message: reason.clone(),
                };
            }
            ApiError::PolicyRefused { reason } => {
                return Shape {
                    status: S::CONFLICT,
                    kind: INVALID_REQUEST,
                    code: Some("policy_refused"),
                    param: Some("policy"),
                    message: reason.clone(),
                };
            }
            // Only administrators get it, about the budget that they sent.
            ApiError::BudgetUnreadable { reason } => {
                return Shape {
                    status: S::BAD_REQUEST,
                    kind: INVALID_REQUEST,
                    code: Some("budget_unreadable"),
                    param: None,
                    message: format!("The body cannot be used: {reason}."),
                };
            }
            ApiError::BudgetExists => (
                S::CONFLICT,
                INVALID_REQUEST,
                Some("budget_exists"),
                "There is a budget with this id already. Change it, or remove it first.",
            ),
            ApiError::BudgetNotFound => (
                S::NOT_FOUND,
                "not_found",
                None,
                "There is no budget with this id.",
            ),
            ApiError::RoleNeeded { role } => {
                return Shape {
                    status: S::FORBIDDEN,
                    kind: PERMISSION,
                    code: Some("role_needed"),
                    param: None,
                    message: format!("This administrator does not have the role {role}."),
                };
            }
            ApiError::ReceiptUnauthorized => (
                S::UNAUTHORIZED,
                "unauthorized",
                None,
                "A receipt is listed only to the API key that made the request. Send it as a bearer token.",
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
            ApiError::KeyNotFound => (
                S::NOT_FOUND,
                "not_found",
                None,
                "There is no active API key with this id.",
            ),
            ApiError::OrganisationNotFound => return directory::not_found(Holder::Organisation),
            ApiError::TenantNotFound => return directory::not_found(Holder::Tenant),
            ApiError::UserNotFound => return directory::not_found(Holder::User),
            ApiError::NameTaken(holder) => return directory::name_taken(*holder),
            ApiError::HasActiveKeys { keys } => return directory::has_active_keys(*keys),
            ApiError::HasTenants { tenants } => return directory::has_tenants(*tenants),
            ApiError::LimitNotFound => (
                S::NOT_FOUND,
                "not_found",
                None,
                "There is no limit with this id.",
            ),
            ApiError::LogFileNotFound => (
                S::NOT_FOUND,
                "not_found",
                None,
                "The audit log has no such file. Its newest head says how far it goes.",
            ),
            ApiError::ReceiptNotLogged => (
                S::NOT_FOUND,
                "not_found",
                Some("receipt_not_logged"),
                "The receipt is not in the audit log yet. Receipts are entered within a second: ask again.",
            ),
            ApiError::RecordNotFound => (
                S::NOT_FOUND,
                "not_found",
                None,
                "There is no such record, or it belongs to another API key.",
            ),
            ApiError::RecordNotDeletable => (
                S::FORBIDDEN,
                "permission_denied",
                None,
                "The policy that this record is kept under leaves its deletion to the operator.",
            ),
            ApiError::NoReport => (
                S::NOT_FOUND,
                "not_found",
                None,
                "This service does not run in a TEE and publishes no attestation report.",
            ),
            ApiError::Invalid(invalid) => return invalid.shape(),
            ApiError::UnknownMember(member) => return member.shape(),
            ApiError::Head(fault) => return fault.shape(),
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
                "The active retention policy keeps more of this request than X-Sealgate-Retention allows.",
            ),
            ApiError::RetentionFailed => (
                S::SERVICE_UNAVAILABLE,
                "server_error",
                Some("retention_failed"),
                "The record that the retention policy demands of this request cannot be written. It was not forwarded.",
            ),
            ApiError::SessionNotAccepted => (
                S::PRECONDITION_FAILED,
                "session_not_accepted",
                None,
                "None of the sessions in provider.aci_session_ids can serve this request. It was not forwarded.",
            ),
            ApiError::OverBudget { budget, resets_at } => {
                let until = match resets_at {
                    Some(at) => format!("It resets at {at}."),
                    None => "It does not reset.".to_owned(),
                };
                return Shape {
                    status: S::PAYMENT_REQUIRED,
                    kind: QUOTA,
                    code: Some("budget_exceeded"),
                    param: None,
                    message: format!(
                        "The budget {budget} has no room for what this request may cost. {until} The request was not forwarded."
                    ),
                };
            }
            ApiError::NoCredit => (
                S::PAYMENT_REQUIRED,
                QUOTA,
                Some("credit_exhausted"),
                "The prepaid credit does not suffice for what this request may cost. It was not forwarded.",
            ),
            ApiError::NotPriced => (
                S::PAYMENT_REQUIRED,
                QUOTA,
                Some("model_not_priced"),
                "A limit in money applies to this request, and the model has no price. It was not forwarded.",
            ),
            ApiError::KeyBusy => (
                S::TOO_MANY_REQUESTS,
                "rate_limit_error",
                Some("rate_limit_exceeded"),
                "Too many requests are in flight for this API key, or too much of their bodies in memory.",
            ),
            ApiError::RateLimited(refusal) => return rate_limit::shape(refusal),
            ApiError::ServiceBusy => (
                S::SERVICE_UNAVAILABLE,
                "server_error",
                Some("service_overloaded"),
                "The service has as many requests in flight, or as much of their bodies in memory, as it may. Try again.",
            ),
            ApiError::EpochEnded => (
                S::MISDIRECTED_REQUEST,
                "server_error",
                Some("epoch_ended"),
                "The contract of this connection has ended. The request was not processed: send it again on a new connection.",
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
            ApiError::UpstreamVerificationBusy => (
                S::SERVICE_UNAVAILABLE,
                "server_error",
                Some("upstream_verification_busy"),
                "The upstreams for this model are busy making attestation reports and could not be verified in time. The request was not forwarded.",
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

impl axum::response::IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        ApiError::into_response(self)
    }
}
