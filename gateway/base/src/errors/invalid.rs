//! Invalid requests: the status is always 400, and `param` names the member.

use http::StatusCode;

use super::{ApiError, INVALID_REQUEST, Shape};
use crate::quota::LimitError;
use crate::request::{LabelsError, RestrictionError};

/// Why a request is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// `nonce` is not 64 lowercase hex characters, or is repeated.
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
    /// The request has a `cache_salt`, and this service accepts none from callers.
    CacheSaltRefused,
    /// `cache_salt` is to be bound to the caller, and is not a usable string.
    CacheSaltType,
    /// `max_tokens` or `max_completion_tokens` is not a whole number, and a limit in tokens applies.
    OutputLimit,
    /// The definition of a limit.
    Limit(LimitError),
    /// A member that we read is repeated, or has a spelling that another parser may accept for it.
    Ambiguous(Member),
    KeysetHeader,
    RetentionHeader,
    ModelHeader,
    /// The body names another model than `X-Sealgate-Model` announced.
    OtherModel,
    /// The body of an admin request is not the expected object.
    AdminBody,
    /// A member of an admin request is not a name.
    NameMember(&'static str),
    /// A member of an admin request is not one of the words that it may be.
    WordMember {
        member: &'static str,
        words: &'static str,
    },
    /// A list of an admin request is longer than it may be.
    LongList(LabelsError),
    /// A parameter of the query is malformed, repeated or has a value that is not known.
    QueryParameter(&'static str),
    /// Usage would have more groups than an answer holds.
    TooManyGroups {
        limit: usize,
    },
    /// A change of an admin request changes nothing.
    NothingToChange,
    /// A member of an admin request is not a time to come, or not a duration.
    TimeMember(&'static str),
    /// The restrictions of an API key.
    Restrictions(RestrictionError),
}

/// The top-level members of a body that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    Model,
    Stream,
    StreamOptions,
    Provider,
    CacheSalt,
    MaxTokens,
    MaxCompletionTokens,
    Answers,
}

impl Member {
    pub const ALL: [Member; 8] = [
        Member::Model,
        Member::Stream,
        Member::StreamOptions,
        Member::Provider,
        Member::CacheSalt,
        Member::MaxTokens,
        Member::MaxCompletionTokens,
        Member::Answers,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Member::Model => "model",
            Member::Stream => "stream",
            Member::StreamOptions => "stream_options",
            Member::Provider => "provider",
            Member::CacheSalt => "cache_salt",
            Member::MaxTokens => "max_tokens",
            Member::MaxCompletionTokens => "max_completion_tokens",
            Member::Answers => "n",
        }
    }
}

impl Invalid {
    pub(super) fn shape(&self) -> Shape {
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
            Invalid::CacheSaltRefused => (
                Some("cache_salt"),
                "cache_salt is set by this service and not accepted in requests.",
            ),
            Invalid::CacheSaltType => (
                Some("cache_salt"),
                "cache_salt must be a string of 1 to 256 bytes, or null.",
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
            Invalid::OutputLimit => (
                Some("max_completion_tokens"),
                "max_completion_tokens and max_tokens must be whole numbers where tokens are limited.",
            ),
            Invalid::Limit(error) => {
                return Self::shape_with(error.member(), format!("The limit: {error}."));
            }
            Invalid::KeysetHeader => (
                None,
                "X-ACI-Keyset-Digest must be given once, as sha256: and 64 lowercase hex characters.",
            ),
            Invalid::AdminBody => (
                None,
                "The body must be a JSON object with the members that this path takes, and no others.",
            ),
            Invalid::NameMember(member) => {
                return Self::shape_with(
                    Some(*member),
                    format!(
                        "{member} must be 1 to 128 characters long, of letters, digits and . _ - : / @ + alone."
                    ),
                );
            }
            Invalid::WordMember { member, words } => {
                return Self::shape_with(Some(member), format!("{member} must be {words}."));
            }
            Invalid::LongList(error) => {
                return Self::shape_with(Some(error.list), format!("{error}."));
            }
            Invalid::QueryParameter(name) => {
                return Self::shape_with(
                    Some(name),
                    format!("{name} is malformed, repeated, or has a value that is not known."),
                );
            }
            Invalid::TooManyGroups { limit } => {
                return Self::shape_with(
                    Some("group_by"),
                    format!(
                        "There are more than {limit} groups. Narrow the span, add filters, or group by less."
                    ),
                );
            }
            Invalid::NothingToChange => (None, "The body changes nothing."),
            Invalid::TimeMember(member) => {
                return Self::shape_with(
                    Some(*member),
                    format!(
                        "{member} must be a time to come, as 2027-01-31T12:00:00Z, or a duration, as 30d."
                    ),
                );
            }
            Invalid::Restrictions(error) => {
                return Self::shape_with(Some(error.member()), format!("{error}."));
            }
            Invalid::RetentionHeader => (
                None,
                "X-Sealgate-Retention must be given once, as zero, metadata or content.",
            ),
            Invalid::ModelHeader => (
                None,
                "X-Sealgate-Model must be given once, in visible ASCII.",
            ),
            Invalid::OtherModel => (
                Some("model"),
                "The body names another model than X-Sealgate-Model announced.",
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

/// A member that a body must not have, with those that it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMember {
    name: String,
    known: &'static [&'static str],
}

impl UnknownMember {
    /// The longest name that is quoted completely.
    const QUOTED: usize = 64;

    pub fn new(name: &str, known: &'static [&'static str]) -> Self {
        Self {
            name: name.chars().take(Self::QUOTED).collect(),
            known,
        }
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            status: StatusCode::BAD_REQUEST,
            kind: INVALID_REQUEST,
            code: Some("unknown_member"),
            param: None,
            message: format!(
                "The body has an unknown member {:?}. Known here: {}.",
                self.name,
                self.known.join(", ")
            ),
        }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        ApiError::Invalid(invalid)
    }
}
