//! Everything that is wrong with a policy, by line, so that it can be mended at once.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

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

/// Where problems gather while a text is read.
pub(super) struct Problems<'t> {
    text: &'t str,
    found: RefCell<Vec<PolicyProblem>>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            found: RefCell::default(),
        }
    }

    pub(super) fn add(&self, at: &Range<usize>, error: PolicyError) {
        let before = self.text.get(..at.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        self.found.borrow_mut().push(PolicyProblem { line, error });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// Nothing, or all of them.
    pub(super) fn into_result(self) -> Result<(), InvalidPolicy> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| problem.line);
        match found.is_empty() {
            true => Ok(()),
            false => Err(InvalidPolicy(found)),
        }
    }
}
