//! Why a text is not a retention policy.

use super::read::{
    MAX_DESCRIPTION, MAX_LEN, MAX_NAME, MAX_NAMES, MAX_PUBLISHED, MAX_RECIPIENTS, MAX_RULES,
};
use super::{Field, Format, RecipientError, RetentionMode, SaltError};
use crate::encoding::EncodingError;
use crate::json::JsonError;

/// Why a text is not a retention policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    /// Larger than any policy.
    #[error("is larger than {MAX_LEN} bytes")]
    TooLarge,
    /// With commitments in place of names it is larger than any published policy.
    #[error("is larger than {MAX_PUBLISHED} bytes in its published form")]
    PublishedTooLarge,
    /// Not TOML, an unknown or missing key, or a value of the wrong type.
    #[error("line {line}: {message}")]
    Toml {
        /// Line of the text, from 1; 0 if the place is not known.
        line: usize,
        /// What is wrong, in the TOML reader's words.
        message: String,
    },
    /// A published document that is not JSON.
    #[error("is not JSON: {0}")]
    Json(#[from] JsonError),
    /// A published document with an unknown or missing member, or a value of the wrong type.
    #[error("is not a retention policy: {0}")]
    Shape(String),
    /// A published document that is not in canonical form.
    #[error("is not in canonical form")]
    NotCanonical,
    /// A format that this version does not know.
    #[error("has the format {0:?}; this version reads \"{one}\" and \"{two}\"", one = Format::One.as_str(), two = Format::Two.as_str())]
    Format(String),
    /// Names that would have to be committed to, and nothing to do it with.
    #[error(
        "line {line}: rules name tenants or recipients, so the policy needs a secret salt, 64 random hexadecimal digits, before [default]"
    )]
    SaltMissing {
        /// Line of the text that states the format, from 1; 0 if it is not known.
        line: usize,
    },
    /// Format 1 has no commitments.
    #[error("has a salt, which is of \"{}\" only", Format::Two.as_str())]
    SaltInFormatOne,
    /// A salt that is none.
    #[error("salt: {0}")]
    Salt(#[from] SaltError),
    /// The published form, where the one with the names is needed.
    #[error(
        "is the published form, with commitments in place of names; a service needs the one with names and salt"
    )]
    NamesMissing,
    /// The form with the names, where the published one is needed.
    #[error("has a salt, so it is not the form that is published")]
    NotPublished,
    /// Chains begin with 1, and every number is one that JSON can carry.
    #[error("has the epoch {0}; epochs are counted from 1")]
    Epoch(u64),
    /// The first policy has no predecessor, and every other has one.
    #[error("is the policy of epoch {epoch} and {}", if *stated { "must not name a predecessor" } else { "must name its predecessor" })]
    PredecessorMisplaced {
        /// The document's epoch.
        epoch: u64,
        /// Whether it names one.
        stated: bool,
    },
    /// A predecessor that is not a digest.
    #[error("predecessor: {0}")]
    Predecessor(EncodingError),
    /// The description is for people, and short.
    #[error("has a description longer than {MAX_DESCRIPTION} bytes or with control characters")]
    Description,
    /// More rules than a reader could follow.
    #[error("has more than {MAX_RULES} rules")]
    TooManyRules,
    /// Terms that contradict their mode.
    #[error("{place}: mode \"{mode}\" {reason}")]
    Terms {
        /// `default`, or `rule N` counted from 1.
        place: String,
        /// Their mode.
        mode: RetentionMode,
        /// What does not fit.
        reason: TermsError,
    },
    /// A list of tenants or models that is empty, too long, or names something twice or unnameable.
    #[error(
        "{place}: {list} must list 1 to {MAX_NAMES} different names of at most {MAX_NAME} printable characters"
    )]
    Names {
        /// `rule N` counted from 1.
        place: String,
        /// `tenants` or `models`.
        list: &'static str,
    },
    /// A published list of tenants with something else than commitments.
    #[error("{place}: tenants must list 1 to {MAX_NAMES} different commitments, sha256:…")]
    Commitments {
        /// `rule N` counted from 1.
        place: String,
    },
    /// Two rules would seal the same request to different recipients.
    #[error("rules {0} and {1} are both of mode \"content\" and for the same requests")]
    ContentOverlap(usize, usize),
}

/// What does not fit a mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// Nothing is kept, so what is stated about it has no effect.
    #[error("keeps nothing, so {0} has no meaning")]
    Meaningless(&'static str),
    /// What is kept must expire.
    #[error("needs a ttl")]
    NoTtl,
    /// Not a whole number and one of `s`, `m`, `h`, `d`, from one second to a hundred years.
    #[error("has the ttl {0:?}, which is not a duration such as 90m, 24h or 30d")]
    Ttl(String),
    /// A field named twice.
    #[error("names the field \"{}\" twice", .0.as_str())]
    FieldTwice(Field),
    /// Content that could not be opened.
    #[error("needs 1 to {MAX_RECIPIENTS} recipients")]
    Recipients,
    /// A recipient that is not one.
    #[error("recipient {0}: {1}")]
    Recipient(usize, RecipientError),
    /// A recipient listed twice.
    #[error("lists recipient {0} twice")]
    RecipientTwice(usize),
    /// Content is kept for tenants that are named, never by default or for every tenant.
    #[error("is only for tenants that its rule names")]
    TenantsRequired,
}
