//! The appraisal on some evidence: every check by name, what was decided, and on what grounds.
//!
//! Only appraisal makes a [`Verdict`]. It has two forms, stable JSON
//! ([`Verdict::to_json`]) and the text that a program renders for people; both say whether the roots were the
//! vendors' or supplied. A verdict does not prove anything to a third party who did not see the
//! evidence: it is a report of this run of this verifier.

mod cause;
mod cause_nvidia;
mod cause_snp;
mod cause_words;
mod check;
mod check_id;
mod decide;
mod facts;
mod json;

use std::fmt;

use serde_json::Value;

use crate::digest::Sha256Digest;
use crate::roots::RootOrigin;
use crate::time::UnixTime;

pub use cause::Cause;
pub(crate) use cause::CauseKind;
pub use cause_nvidia::NvidiaCause;
pub use cause_snp::SnpCause;
pub(crate) use check::Checks;
pub use check::{Check, Obstacle, Outcome, Why};
pub use check_id::{CheckId, UnknownCheck};
pub use facts::{EventLogFacts, Facts, LogFacts, ReportFacts, TenantRetention};

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Every required check passed and none failed.
    Accepted,
    /// The evidence was understood and is not acceptable.
    Rejected,
    /// Evidence of a kind that this version does not appraise.
    Unsupported,
    /// The input is not evidence.
    Malformed,
}

impl Decision {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Unsupported => "unsupported",
            Self::Malformed => "malformed",
        }
    }

    /// The exit code of command-line tools: 0, 10, 20 or 30.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Rejected => 10,
            Self::Unsupported => 20,
            Self::Malformed => 30,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The appraisal on some evidence at a stated time, under a policy and roots.
///
/// No public constructor exists:
///
/// ```compile_fail
/// let verdict = attest_core::Verdict { ..Default::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    decision: Decision,
    checks: Vec<Check>,
    facts: Facts,
    grounds: Grounds,
}

/// What a verdict was reached by, besides the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grounds {
    pub(crate) at: UnixTime,
    pub(crate) roots: RootOrigin,
    pub(crate) policy_name: String,
    pub(crate) policy_digest: Sha256Digest,
}

impl Verdict {
    pub(crate) fn new(checks: Checks, facts: Facts, grounds: Grounds) -> Self {
        let checks = checks.into_vec();
        Self {
            decision: decide::decide(&checks),
            checks,
            facts,
            grounds,
        }
    }

    /// What was decided.
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// The exit code of command-line tools for this decision.
    pub fn exit_code(&self) -> u8 {
        self.decision.exit_code()
    }

    /// Every check, in the order in which they were made.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// That check, if it was part of this verdict.
    pub fn check(&self, id: CheckId) -> Option<&Check> {
        self.checks.iter().find(|check| check.id == id)
    }

    /// Whether that check was part of this verdict and passed.
    pub fn passed(&self, id: CheckId) -> bool {
        self.check(id).is_some_and(Check::passed)
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = (CheckId, &Cause)> {
        self.obstacles()
            .filter_map(|(id, obstacle)| match obstacle {
                Obstacle::Failed(cause) => Some((id, cause)),
                Obstacle::NotEvaluated(_) => None,
            })
    }

    /// Every check that stands against acceptance: those that failed, and those that acceptance
    /// needs and that were not evaluated. In the order in which they were made.
    pub fn obstacles(&self) -> impl Iterator<Item = (CheckId, Obstacle<'_>)> {
        decide::obstacles(&self.checks)
    }

    /// The obstacle to report where there is room for one: the first check that failed, otherwise
    /// the first that was not evaluated.
    pub fn main_obstacle(&self) -> Option<(CheckId, Obstacle<'_>)> {
        let failed = |it: &(_, Obstacle<'_>)| matches!(it.1, Obstacle::Failed(_));
        self.obstacles()
            .find(failed)
            .or_else(|| self.obstacles().next())
    }

    /// What was read from the evidence. Facts beside a failed signature check are what the bytes
    /// say, not what hardware said.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether the roots were the vendors' or supplied.
    pub fn root_origin(&self) -> RootOrigin {
        self.grounds.roots
    }

    /// The time the evidence was appraised at.
    pub fn at(&self) -> UnixTime {
        self.grounds.at
    }

    /// The policy's name.
    pub fn policy_name(&self) -> &str {
        &self.grounds.policy_name
    }

    /// SHA-256 of the policy's text.
    pub fn policy_digest(&self) -> Sha256Digest {
        self.grounds.policy_digest
    }

    /// The stable JSON form.
    pub fn to_json(&self) -> Value {
        json::verdict(self)
    }
}

/// One sentence, with the root's origin in words and the first reason against acceptance.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at {} under policy \"{}\", {}",
            self.decision,
            self.grounds.at,
            self.grounds.policy_name,
            self.grounds.roots.in_words()
        )?;
        match self.main_obstacle() {
            Some((id, Obstacle::Failed(cause))) => write!(f, ": {id}: {cause}"),
            Some((id, Obstacle::NotEvaluated(why))) => {
                write!(f, ": {id} was not evaluated: {why}")
            }
            None => Ok(()),
        }
    }
}
