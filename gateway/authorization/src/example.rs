//! Example requests in a policy, with the decisions that it must make.

use std::fmt;

use attest_core::UnixTime;
use attest_core::retention::RetentionMode;
use gateway_base::request::{Endpoint, Name};

use crate::rule::{Effect, Request};
use crate::served::Candidate;

/// `[[example]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Counted from 1.
    pub line: usize,
    pub name: Option<Name>,
    pub organisation: Option<Name>,
    pub tenant: Name,
    pub user: Option<Name>,
    pub key: Option<String>,
    pub roles: Vec<Name>,
    pub model: Name,
    pub endpoint: Endpoint,
    pub retention: RetentionMode,
    pub candidate: Candidate,
    /// Given where a rule depends on the time.
    pub at: Option<UnixTime>,
    pub expected: Effect,
    /// The code that the decision must have, if it is stated.
    pub expected_code: Option<Name>,
}

/// An example that the policy decides in another way than stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleFailure {
    /// Its place among the examples, counted from 1.
    pub number: usize,
    pub name: Option<Name>,
    pub expected: (Effect, Option<Name>),
    pub found: (Effect, String),
}

impl fmt::Display for ExampleFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "example {}", self.number)?;
        if let Some(name) = &self.name {
            write!(f, " ({name})")?;
        }
        write!(f, ": expected {}", self.expected.0)?;
        if let Some(code) = &self.expected.1 {
            write!(f, " by {code}")?;
        }
        let (effect, code) = &self.found;
        write!(f, ", and the decision is {effect} by {code}")
    }
}

impl Example {
    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            organisation: self.organisation.as_ref(),
            tenant: &self.tenant,
            user: self.user.as_ref(),
            key: self.key.as_deref().unwrap_or_default(),
            roles: &self.roles,
            model: &self.model,
            endpoint: self.endpoint,
            retention: self.retention,
            // No rule depends on it where it is not given.
            at: self.at.unwrap_or(UnixTime::from_secs(0)),
        }
    }
}
