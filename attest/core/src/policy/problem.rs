//! Everything that is wrong with a policy, by line, so that it can be corrected at once.

use std::fmt;

use super::PolicyError;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblem {
    /// Line of the text, from 1.
    pub line: usize,
    /// What is wrong there.
    pub error: PolicyError,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.error)
    }
}

/// Why a text is not an attestation policy: everything that was found wrong, at least one thing, in
/// the order of the lines. In words it is one line, the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPolicy(Vec<PolicyProblem>);

impl InvalidPolicy {
    pub(super) fn one(line: usize, error: PolicyError) -> Self {
        Self(vec![PolicyProblem { line, error }])
    }

    /// Everything that is wrong, by line.
    pub fn problems(&self) -> &[PolicyProblem] {
        &self.0
    }
}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(first) = self.0.first() {
            first.fmt(f)?;
        }
        match self.0.len() {
            0 | 1 => Ok(()),
            2 => f.write_str(" (and one more problem)"),
            several => write!(f, " (and {} more problems)", several - 1),
        }
    }
}

impl std::error::Error for InvalidPolicy {}

/// Where problems are collected while a policy is read.
pub(super) type Problems<'t> = strict_toml::Problems<'t, PolicyError>;

/// Nothing if no problem was found, otherwise all of them.
pub(super) fn into_result(problems: Problems<'_>) -> Result<(), InvalidPolicy> {
    let found: Vec<_> = problems
        .into_sorted()
        .into_iter()
        .map(|it| PolicyProblem {
            line: it.line,
            error: it.problem,
        })
        .collect();
    match found.is_empty() {
        true => Ok(()),
        false => Err(InvalidPolicy(found)),
    }
}
