//! A verdict together with the question whether anybody said what is wanted.
//!
//! Genuine evidence proves that *some* workload runs in a TEE. Without a policy nothing says that
//! it is the wanted one, so the outcome is then a rejection with a reason of its own: a required
//! check that was not evaluated is not a pass.

use attest_core::{Decision, Verdict};
use serde_json::{Value, json};

/// The name under which a missing policy appears beside the core's checks.
pub const POLICY_GIVEN: &str = "policy.given";
const NO_POLICY: &str =
    "no policy says which workload is wanted (--policy FILE; --print-policy drafts one)";
const NO_MEASUREMENT: &str = "the flags pin no measurement, so nothing says which workload is \
     wanted (--any-measurement accepts any)";

/// Whether the policy in use was the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyOrigin {
    Given,
    /// The built-in stand-in that accepts any workload.
    Absent,
    /// Flags of the caller's, of which none says which workload is wanted.
    NoMeasurement,
}

impl PolicyOrigin {
    /// Why nothing says which workload is wanted, unless something does.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Self::Given => None,
            Self::Absent => Some(NO_POLICY),
            Self::NoMeasurement => Some(NO_MEASUREMENT),
        }
    }
}

pub struct Judged<'a> {
    pub verdict: &'a Verdict,
    pub policy: PolicyOrigin,
    /// What was judged, for the reader.
    pub subject: &'a str,
}

impl Judged<'_> {
    pub fn decision(&self) -> Decision {
        match (self.verdict.decision(), self.policy.missing()) {
            (Decision::Accepted, Some(_)) => Decision::Rejected,
            (decision, _) => decision,
        }
    }

    pub fn exit_code(&self) -> u8 {
        self.decision().exit_code()
    }

    /// The core's JSON; with a further check and its consequence where no policy was given.
    pub fn to_json(&self) -> Value {
        let mut value = self.verdict.to_json();
        let Some(missing) = self.policy.missing() else {
            return value;
        };
        value["decision"] = self.decision().as_str().into();
        value["exit_code"] = self.exit_code().into();
        if let Some(checks) = value["checks"].as_array_mut() {
            checks.push(json!({
                "id": POLICY_GIVEN, "required": true, "outcome": "not_evaluated",
                "why": { "code": "no_policy", "message": missing },
            }));
        }
        value
    }
}
