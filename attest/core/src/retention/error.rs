//! Why a text is not a retention policy.

use std::fmt;

use super::read::{
    MAX_DESCRIPTION, MAX_LEN, MAX_NAME, MAX_NAMES, MAX_PUBLISHED, MAX_RECIPIENTS, MAX_RULES,
};
use super::{Field, Format, RecipientError, RetentionMode, SaltError};
use crate::encoding::EncodingError;
use crate::json::JsonError;
use crate::section::FieldError;

/// Everything that is wrong with a text that should be a retention policy: at least one problem. Those of TOML are in the
/// order of the lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRetentionPolicy(Vec<RetentionProblem>);

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionProblem {
    /// Line of the text, from 1. None in JSON, which services write in one line, and for the text as a whole.
    pub line: Option<usize>,
    /// What is wrong there.
    pub error: RetentionError,
}

impl InvalidRetentionPolicy {
    /// Everything that is wrong.
    pub fn problems(&self) -> &[RetentionProblem] {
        &self.0
    }
}

impl<E: Into<RetentionError>> From<E> for InvalidRetentionPolicy {
    fn from(error: E) -> Self {
        let error = error.into();
        Self(vec![RetentionProblem { line: None, error }])
    }
}

impl fmt::Display for RetentionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        self.error.fmt(f)
    }
}

impl fmt::Display for InvalidRetentionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidRetentionPolicy {}

/// Where problems are collected while a document is read. Their text is empty for JSON, which has no lines.
pub(super) type Problems<'t> = strict_toml::Problems<'t, RetentionError>;

/// What was read, if no problem was found. Reading returns nothing only where it reported one.
pub(super) fn into_result<T>(
    read: Option<T>,
    problems: Problems<'_>,
) -> Result<T, InvalidRetentionPolicy> {
    let has_lines = !problems.text().is_empty();
    match read {
        Some(value) if problems.is_empty() => Ok(value),
        _ => {
            let found = problems.into_sorted().into_iter();
            let found = found.map(|it| RetentionProblem {
                line: has_lines.then_some(it.line),
                error: it.problem,
            });
            Err(InvalidRetentionPolicy(found.collect()))
        }
    }
}

/// Why a text is not a retention policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    /// Larger than any policy.
    #[error("the policy is larger than {MAX_LEN} bytes")]
    TooLarge,
    /// With commitments in place of names it is larger than any published policy.
    #[error("the policy is larger than {MAX_PUBLISHED} bytes in its published form")]
    PublishedTooLarge,
    /// Not TOML.
    #[error("{0}")]
    Syntax(String),
    /// A key that is unknown or missing, or a value of the wrong type or range.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A published document that is not JSON.
    #[error("the policy is not JSON: {0}")]
    Json(#[from] JsonError),
    /// A published document with an unknown or missing member, or a value of the wrong type.
    #[error("this is not a retention policy: {0}")]
    Shape(String),
    /// A published document that is not in canonical form.
    #[error("the policy is not in canonical form")]
    NotCanonical,
    /// A format that this version does not know.
    #[error("the format {0:?} is unknown; this version reads \"{one}\" and \"{two}\"", one = Format::One.as_str(), two = Format::Two.as_str())]
    Format(String),
    /// Names that would have to be committed to, and nothing to do it with.
    #[error(
        "rules name tenants or recipients, so the policy needs a secret salt, 64 random hexadecimal digits, before [default]"
    )]
    SaltMissing,
    /// Format 1 has no commitments.
    #[error("a salt is of \"{}\" only", Format::Two.as_str())]
    SaltInFormatOne,
    /// A salt that is none.
    #[error("the salt {0}")]
    Salt(#[from] SaltError),
    /// The published form, where the one with the names is needed.
    #[error(
        "this is the published form, with commitments in place of names; a service needs the one with names and salt"
    )]
    NamesMissing,
    /// The form with the names, where the published one is needed.
    #[error("the policy has a salt, so it is not the form that is published")]
    NotPublished,
    /// Chains begin with 1, and every number is one that JSON can carry.
    #[error("the epoch is {0}; epochs are counted from 1")]
    Epoch(u64),
    /// The first policy has no predecessor, and every other has one.
    #[error("the policy of epoch {epoch} {}", if *stated { "must not name a predecessor" } else { "must name its predecessor" })]
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
    #[error("the description is longer than {MAX_DESCRIPTION} bytes or has control characters")]
    Description,
    /// More rules than a reader could follow.
    #[error("there are more than {MAX_RULES} rules")]
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
