//! One check of a verdict: its id, its outcome, and whether the policy requires it.

use std::fmt;

use super::cause::Cause;
use super::check_id::CheckId;

/// One named check of a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Which.
    pub id: CheckId,
    /// Its result.
    pub outcome: Outcome,
    /// Whether acceptance needs this check to pass. A failed check refuses whether required or
    /// not; `required` decides what becomes of a check that was not evaluated.
    pub required: bool,
}

impl Check {
    /// What about this check stands against acceptance.
    pub fn obstacle(&self) -> Option<Obstacle<'_>> {
        match &self.outcome {
            Outcome::Fail(cause) => Some(Obstacle::Failed(cause)),
            Outcome::NotEvaluated(why) if self.required => Some(Obstacle::NotEvaluated(why)),
            Outcome::Pass | Outcome::NotEvaluated(_) => None,
        }
    }

    /// Whether it holds.
    pub fn passed(&self) -> bool {
        self.outcome == Outcome::Pass
    }
}

/// Why a check stands against acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle<'v> {
    /// It does not hold.
    Failed(&'v Cause),
    /// Acceptance needs it, and it was not evaluated.
    NotEvaluated(&'v Why),
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail(Cause),
    /// It was not checked, so nothing is known.
    NotEvaluated(Why),
}

/// Why a check was not evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// An earlier check failed, and without it this one has no meaning.
    Stopped {
        /// The check that failed.
        at: CheckId,
    },
    /// No collateral came with the evidence and none was given.
    NoCollateral,
    /// The policy says nothing about it.
    NotInPolicy,
    /// The evidence does not contain it.
    Absent,
    /// No nonce of ours went into the evidence.
    NotChallenged,
    /// No channel was observed, only a file read.
    ChannelNotObserved,
    /// The keyset binds no contract: it has no subject of our profile.
    NoContract,
    /// What it would excuse is accepted without it.
    NotNeeded,
    /// This version does not appraise this kind of evidence yet.
    NotSupported,
}

impl Why {
    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Stopped { .. } => "stopped",
            Self::NoCollateral => "no_collateral",
            Self::NotInPolicy => "not_in_policy",
            Self::Absent => "absent",
            Self::NotChallenged => "not_challenged",
            Self::ChannelNotObserved => "channel_not_observed",
            Self::NoContract => "no_contract",
            Self::NotNeeded => "not_needed",
            Self::NotSupported => "not_supported",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped { at } => write!(f, "{at} did not pass"),
            Self::NoCollateral => f.write_str("there is no collateral to judge it by"),
            Self::NotInPolicy => f.write_str("the policy does not ask for it"),
            Self::Absent => f.write_str("the evidence does not contain it"),
            Self::NotChallenged => f.write_str("no nonce of ours went into the evidence"),
            Self::ChannelNotObserved => f.write_str("no TLS channel was observed"),
            Self::NoContract => f.write_str("the keyset binds no contract"),
            Self::NotNeeded => f.write_str("there is nothing to excuse"),
            Self::NotSupported => f.write_str("this version cannot judge it"),
        }
    }
}

/// The checks made so far, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<Check>);

impl Checks {
    pub(crate) fn pass(&mut self, id: CheckId) {
        self.push(id, Outcome::Pass, true);
    }

    pub(crate) fn fail(&mut self, id: CheckId, cause: Cause) {
        self.push(id, Outcome::Fail(cause), true);
    }

    pub(crate) fn record(&mut self, id: CheckId, result: Result<(), Cause>) {
        match result {
            Ok(()) => self.pass(id),
            Err(cause) => self.fail(id, cause),
        }
    }

    /// A check that holds, or does not for this reason.
    pub(crate) fn require<C: Into<Cause>>(
        &mut self,
        id: CheckId,
        holds: bool,
        cause: impl FnOnce() -> C,
    ) {
        let result = if holds { Ok(()) } else { Err(cause().into()) };
        self.record(id, result);
    }

    /// A check that acceptance needs and that could not be made.
    pub(crate) fn not_evaluated(&mut self, id: CheckId, why: Why) {
        self.push(id, Outcome::NotEvaluated(why), true);
    }

    /// A check that acceptance does not need and that was not made.
    pub(crate) fn not_required(&mut self, id: CheckId, why: Why) {
        self.push(id, Outcome::NotEvaluated(why), false);
    }

    /// Makes a check that was not evaluated a failed one.
    pub(crate) fn replace(&mut self, id: CheckId, cause: Cause) {
        self.0
            .retain(|check| check.id != id || matches!(check.outcome, Outcome::Fail(_)));
        if !self.contains(id) {
            self.fail(id, cause);
        }
    }

    /// Whether this check was entered, whatever its result.
    pub(crate) fn contains(&self, id: CheckId) -> bool {
        self.0.iter().any(|check| check.id == id)
    }

    /// The first check that failed.
    pub(crate) fn first_failure(&self) -> Option<CheckId> {
        self.0
            .iter()
            .find(|check| matches!(check.outcome, Outcome::Fail(_)))
            .map(|check| check.id)
    }

    pub(crate) fn append(&mut self, mut later: Self) {
        self.0.append(&mut later.0);
    }

    pub(crate) fn into_vec(self) -> Vec<Check> {
        self.0
    }

    fn push(&mut self, id: CheckId, outcome: Outcome, required: bool) {
        self.0.push(Check {
            id,
            outcome,
            required,
        });
    }
}
