//! A verdict, qualified by whether a policy states which workload is accepted.
//!
//! Genuine evidence proves that *some* workload runs in a TEE. Without a policy it is unknown whether
//! it is the expected one, so the result is a rejection with a separate reason: a required
//! check that was not evaluated is not a pass.

use serde_json::{Value, json};

use attest_core::{Decision, Verdict};

/// The name under which a missing policy appears beside the core's checks.
pub const POLICY_GIVEN: &str = "policy.given";
const NO_POLICY: &str =
    "no policy states which workload is accepted (--policy FILE; --print-policy drafts one)";
const NO_MEASUREMENT: &str = "the flags pin no measurement, so no workload is accepted \
     (--any-measurement accepts any)";

/// Whether the caller stated the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyOrigin {
    Given,
    /// The built-in one that accepts any workload.
    Absent,
    /// The caller's flags, none of which pins a workload.
    NoMeasurement,
}

impl PolicyOrigin {
    /// The reason if no policy states which workload is accepted.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Self::Given => None,
            Self::Absent => Some(NO_POLICY),
            Self::NoMeasurement => Some(NO_MEASUREMENT),
        }
    }
}

pub struct QualifiedVerdict<'a> {
    pub verdict: &'a Verdict,
    pub policy: PolicyOrigin,
    /// What was verified, for the reader.
    pub subject: &'a str,
}

impl QualifiedVerdict<'_> {
    pub fn decision(&self) -> Decision {
        match (self.verdict.decision(), self.policy.missing()) {
            (Decision::Accepted, Some(_)) => Decision::Rejected,
            (decision, _) => decision,
        }
    }

    pub fn exit_code(&self) -> u8 {
        self.decision().exit_code()
    }

    /// The core's JSON. If no policy was given, with another check and its effect on the decision.
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
