//! A list of every error, with which `docs/reference.md` is compared.

use std::time::Duration;

use http::StatusCode;

use super::{ApiError, HeadFault, Invalid, TokenFault, UnknownMember};
use crate::quota::{Exhausted, LimitRefusal, Period, RateState};
use crate::request::{Holder, Label, Name};
use jwt::TokenError;

/// Writes the list and a `match` over the same patterns: an error that is not in the list does not compile.
macro_rules! one_of_each {
    ($error:ty: $($pattern:pat => $value:expr,)*) => {{
        fn is_listed(error: &$error) {
            match error { $($pattern => {})* }
        }
        let all: Vec<$error> = vec![$($value),*];
        all.iter().for_each(is_listed);
        all
    }};
}

/// The parts of an error that a client can branch on: status, `type` and `code`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedError {
    pub status: u16,
    pub kind: &'static str,
    pub code: Option<&'static str>,
}

/// Every combination that an [`ApiError`] can have, sorted. Errors of upstreams are in `relay`.
pub fn list_errors() -> Vec<ListedError> {
    let mut listed: Vec<ListedError> = errors().iter().map(listed).collect();
    listed.sort();
    listed.dedup();
    listed
}

fn listed(error: &ApiError) -> ListedError {
    let shape = error.shape();
    ListedError {
        status: StatusCode::as_u16(&shape.status),
        kind: shape.kind,
        code: shape.code,
    }
}

fn errors() -> Vec<ApiError> {
    let mut all = one_of_each! { ApiError:
        ApiError::MissingKey => ApiError::MissingKey,
        ApiError::InvalidKey => ApiError::InvalidKey,
        ApiError::KeyExpired => ApiError::KeyExpired,
        ApiError::KeyBlocked => ApiError::KeyBlocked,
        ApiError::KeyNetwork => ApiError::KeyNetwork,
        ApiError::KeyEndpoint => ApiError::KeyEndpoint,
        ApiError::KeyModel => ApiError::KeyModel,
        ApiError::KeyRetention => ApiError::KeyRetention,
        ApiError::NotAuthorized { .. } => ApiError::NotAuthorized { code: a_code() },
        ApiError::Disabled(_) => ApiError::Disabled(Holder::Organisation),
        ApiError::LabelUnknown(_) => ApiError::LabelUnknown(Label::Scenario),
        ApiError::LabelMissing(_) => ApiError::LabelMissing(Label::Scenario),
        ApiError::RoleNeeded { .. } => ApiError::RoleNeeded { role: "" },
        ApiError::PolicyUnreadable { .. } => ApiError::PolicyUnreadable { reason: String::new() },
        ApiError::PolicyRefused { .. } => ApiError::PolicyRefused { reason: String::new() },
        ApiError::BudgetUnreadable { .. } => ApiError::BudgetUnreadable { reason: String::new() },
        ApiError::BudgetExists => ApiError::BudgetExists,
        ApiError::BudgetNotFound => ApiError::BudgetNotFound,
        ApiError::ReceiptUnauthorized => ApiError::ReceiptUnauthorized,
        ApiError::UnknownRoute => ApiError::UnknownRoute,
        ApiError::MethodNotAllowed { .. } => ApiError::MethodNotAllowed { allow: "" },
        ApiError::ModelNotFound => ApiError::ModelNotFound,
        ApiError::ReceiptNotFound => ApiError::ReceiptNotFound,
        ApiError::SessionNotFound => ApiError::SessionNotFound,
        ApiError::KeyNotFound => ApiError::KeyNotFound,
        ApiError::OrganisationNotFound => ApiError::OrganisationNotFound,
        ApiError::TenantNotFound => ApiError::TenantNotFound,
        ApiError::UserNotFound => ApiError::UserNotFound,
        ApiError::NameTaken(_) => ApiError::NameTaken(Holder::User),
        ApiError::HasActiveKeys { .. } => ApiError::HasActiveKeys { keys: 0 },
        ApiError::HasTenants { .. } => ApiError::HasTenants { tenants: 0 },
        ApiError::RecordNotFound => ApiError::RecordNotFound,
        ApiError::LimitNotFound => ApiError::LimitNotFound,
        ApiError::RecordNotDeletable => ApiError::RecordNotDeletable,
        ApiError::LogFileNotFound => ApiError::LogFileNotFound,
        ApiError::ReceiptNotLogged => ApiError::ReceiptNotLogged,
        ApiError::NoReport => ApiError::NoReport,
        // All of these have one status, type and code.
        ApiError::Invalid(_) => ApiError::Invalid(Invalid::Query),
        ApiError::UnknownMember(_) => ApiError::UnknownMember(UnknownMember::new("", &[])),
        ApiError::Head(_) => ApiError::Head(HeadFault::Field),
        ApiError::Token(_) => ApiError::Token(TokenFault::NotMapped),
        ApiError::BodyTimeout => ApiError::BodyTimeout,
        ApiError::BodyTooLarge { .. } => ApiError::BodyTooLarge { limit: 0 },
        ApiError::UnsupportedEncoding => ApiError::UnsupportedEncoding,
        ApiError::UnsupportedMediaType => ApiError::UnsupportedMediaType,
        ApiError::KeysetPrecondition => ApiError::KeysetPrecondition,
        ApiError::RetentionPrecondition => ApiError::RetentionPrecondition,
        ApiError::RetentionFailed => ApiError::RetentionFailed,
        ApiError::SessionNotAccepted => ApiError::SessionNotAccepted,
        ApiError::OverBudget { .. } => ApiError::OverBudget { budget: any_name(), resets_at: None },
        ApiError::NoCredit => ApiError::NoCredit,
        ApiError::NotPriced => ApiError::NotPriced,
        ApiError::KeyBusy => ApiError::KeyBusy,
        // With each thing that a limit can count below.
        ApiError::RateLimited(_) => limited(Exhausted::Concurrent),
        ApiError::ServiceBusy => ApiError::ServiceBusy,
        ApiError::EpochEnded => ApiError::EpochEnded,
        ApiError::AttestationBusy { .. } => ApiError::AttestationBusy { retry_after: Duration::ZERO },
        ApiError::AttestationFailed => ApiError::AttestationFailed,
        ApiError::UpstreamVerificationFailed => ApiError::UpstreamVerificationFailed,
        ApiError::UpstreamVerificationBusy => ApiError::UpstreamVerificationBusy,
        ApiError::UpstreamUnavailable => ApiError::UpstreamUnavailable,
        ApiError::UpstreamTimeout => ApiError::UpstreamTimeout,
        ApiError::Internal => ApiError::Internal,
    };
    all.push(limited(Exhausted::Requests(Period::Minute)));
    all.push(limited(Exhausted::Tokens(Period::Minute)));
    all.extend(head_faults().into_iter().map(ApiError::Head));
    all.extend(token_faults().into_iter().map(ApiError::Token));
    all.extend([Holder::Tenant, Holder::User].map(ApiError::Disabled));
    all.push(ApiError::LabelUnknown(Label::Owner));
    all.push(ApiError::LabelMissing(Label::Owner));
    all
}

fn a_code() -> Name {
    Name::from_operator("a-code").expect("it is a name")
}

fn any_name() -> Name {
    Name::from_operator("name").expect("a name")
}

fn limited(what: Exhausted) -> ApiError {
    let limit = Name::from_operator("limit").expect("a name");
    ApiError::RateLimited(Box::new(LimitRefusal {
        limit,
        scope: "total",
        what,
        retry_after: Duration::ZERO,
        state: RateState::default(),
    }))
}

fn head_faults() -> Vec<HeadFault> {
    one_of_each! { HeadFault:
        HeadFault::TooLarge { .. } => HeadFault::TooLarge { limit: 0 },
        HeadFault::TooManyFields { .. } => HeadFault::TooManyFields { limit: 0 },
        HeadFault::BareLineFeed => HeadFault::BareLineFeed,
        HeadFault::RequestLine => HeadFault::RequestLine,
        HeadFault::Version => HeadFault::Version,
        HeadFault::Connect => HeadFault::Connect,
        HeadFault::Field => HeadFault::Field,
        HeadFault::HostMissing => HeadFault::HostMissing,
        HeadFault::HostRepeated => HeadFault::HostRepeated,
        HeadFault::HostInvalid => HeadFault::HostInvalid,
        HeadFault::LengthRepeated => HeadFault::LengthRepeated,
        HeadFault::LengthInvalid => HeadFault::LengthInvalid,
        HeadFault::LengthAndCoding => HeadFault::LengthAndCoding,
        HeadFault::CodingNotChunked => HeadFault::CodingNotChunked,
        HeadFault::CodingUnknown => HeadFault::CodingUnknown,
        HeadFault::CodingInHttp10 => HeadFault::CodingInHttp10,
    }
}

fn token_faults() -> Vec<TokenFault> {
    let mut all = one_of_each! { TokenFault:
        // Listed below.
        TokenFault::Refused(_) => TokenFault::Refused(TokenError::Malformed),
        TokenFault::NotMapped => TokenFault::NotMapped,
        TokenFault::Unavailable => TokenFault::Unavailable,
    };
    let refused = one_of_each! { TokenError:
        TokenError::Malformed => TokenError::Malformed,
        TokenError::Header => TokenError::Header,
        TokenError::Algorithm => TokenError::Algorithm,
        TokenError::Issuer => TokenError::Issuer,
        TokenError::KeyUnknown => TokenError::KeyUnknown,
        TokenError::Signature => TokenError::Signature,
        TokenError::Claims => TokenError::Claims,
        TokenError::Audience => TokenError::Audience,
        TokenError::Expired => TokenError::Expired,
        TokenError::NotYetValid => TokenError::NotYetValid,
    };
    all.extend(refused.into_iter().map(TokenFault::Refused));
    all
}
