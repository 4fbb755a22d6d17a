//! What is wrong with a policy.

use std::fmt;

use gateway_base::quota::OffsetError;
use gateway_base::request::NameError;
use strict_toml::Located;

use crate::condition::UserNameError;
use crate::example::ExampleFailure;
use crate::limits::{MAX_BYTES, MAX_CODE, MAX_EXAMPLES, MAX_VALUES};
use crate::rule_set::MAX_RULES;
use crate::schedule::HoursError;

/// One problem of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("the policy is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("is not TOML: {0}")]
    Syntax(String),
    #[error("{key} is not a key here; {}", expected(*meant, known))]
    UnknownKey {
        key: String,
        meant: Option<&'static str>,
        known: Vec<&'static str>,
    },
    #[error("{0} is missing")]
    Missing(String),
    #[error("{key} must be {wanted}, not of the type {found}")]
    WrongType {
        key: String,
        wanted: &'static str,
        found: &'static str,
    },
    #[error("{0} is an empty list; without it the rule matches everything")]
    EmptyList(String),
    #[error("{key} has more than {MAX_VALUES} values")]
    TooManyValues { key: String },
    #[error("{key}: {found:?} is unknown; {}", expected(*meant, known))]
    UnknownWord {
        key: String,
        found: String,
        meant: Option<&'static str>,
        known: Vec<&'static str>,
    },
    #[error("{key}: {found:?} {reason}")]
    Name {
        key: String,
        found: String,
        reason: NameError,
    },
    #[error("{key}: {found:?} {reason}")]
    User {
        key: String,
        found: String,
        reason: UserNameError,
    },
    #[error(
        "{key}: {found:?} is not the id of a key: 12 hexadecimal digits, or jwt- and 16 of them"
    )]
    KeyId { key: String, found: String },
    #[error("{key}: {found:?} {reason}")]
    Hours {
        key: String,
        found: String,
        reason: HoursError,
    },
    #[error("{key}: {found:?} {reason}")]
    Offset {
        key: String,
        found: String,
        reason: OffsetError,
    },
    #[error("{key} has no effect without hours or days")]
    OffsetAlone { key: String },
    #[error(
        "{key}: {found:?} must be 1 to {MAX_CODE} lower-case letters, digits, - and _, and begin with a letter"
    )]
    Code { key: String, found: String },
    #[error("{key}: \"no-rule-matched\" is the code of decisions that no rule makes")]
    ReservedCode { key: String },
    #[error("{key}: the rule in line {line} has the code {code:?} already")]
    RepeatedCode {
        key: String,
        code: String,
        line: usize,
    },
    #[error("{key} must be a whole number from 1 to {}", u32::MAX)]
    Number { key: String },
    #[error("there is no [[rule]]: the policy would allow nothing")]
    NoRules,
    #[error("there are more than {MAX_RULES} rules")]
    TooManyRules,
    #[error("there are more than {MAX_EXAMPLES} examples")]
    TooManyExamples,
    #[error("{key} is missing: a rule depends on the time")]
    NoTime { key: String },
    #[error("{key}: {found:?} is not a time such as 2026-12-01T08:00:00Z")]
    Time { key: String, found: String },
    #[error("{0}")]
    Example(ExampleFailure),
}

fn expected(meant: Option<&str>, known: &[&str]) -> String {
    match meant {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("known are {}", known.join(", ")),
    }
}

/// Every problem of a policy, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPolicy {
    problems: Vec<Located<PolicyError>>,
}

impl InvalidPolicy {
    pub(crate) fn from_problems(problems: Vec<Located<PolicyError>>) -> Self {
        Self { problems }
    }

    pub(crate) fn from_failures(failures: Vec<Located<ExampleFailure>>) -> Self {
        let problems = failures
            .into_iter()
            .map(|Located { line, problem }| Located {
                line,
                problem: PolicyError::Example(problem),
            });
        Self::from_problems(problems.collect())
    }

    pub fn problems(&self) -> &[Located<PolicyError>] {
        &self.problems
    }
}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Located { line, problem }) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{line}: {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidPolicy {}
