//! The result of checking a document that is not evidence: a receipt, a session, an audit log.
//! The core makes the checks; this module names them, keeps their order, and adds the verdict on the evidence that
//! the document depends on.

use serde_json::{Value, json};

use attest_core::{Decision, Verdict};

use crate::qualified_verdict::{PolicyOrigin, QualifiedVerdict};

/// One named check of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub id: &'static str,
    pub outcome: FindingOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindingOutcome {
    Pass(String),
    Fail(String),
    /// Required for acceptance, but could not be checked.
    Missing(String),
    /// Not requested, or not applicable.
    NotChecked(String),
}

impl Finding {
    pub fn pass(id: &'static str, note: impl Into<String>) -> Self {
        Self {
            id,
            outcome: FindingOutcome::Pass(note.into()),
        }
    }

    pub fn fail(id: &'static str, cause: impl std::fmt::Display) -> Self {
        Self {
            id,
            outcome: FindingOutcome::Fail(cause.to_string()),
        }
    }

    pub fn missing(id: &'static str, why: impl Into<String>) -> Self {
        Self {
            id,
            outcome: FindingOutcome::Missing(why.into()),
        }
    }

    pub fn not_checked(id: &'static str, why: impl Into<String>) -> Self {
        Self {
            id,
            outcome: FindingOutcome::NotChecked(why.into()),
        }
    }

    /// From a result of the core: its error is the cause.
    pub fn from_result<E: std::fmt::Display>(id: &'static str, result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self::pass(id, ""),
            Err(e) => Self::fail(id, e),
        }
    }
}

impl Finding {
    /// Whether a document with this finding is not accepted.
    pub fn is_obstacle(&self) -> bool {
        matches!(
            self.outcome,
            FindingOutcome::Fail(_) | FindingOutcome::Missing(_)
        )
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (FindingOutcome::Pass(note)
        | FindingOutcome::Fail(note)
        | FindingOutcome::Missing(note)
        | FindingOutcome::NotChecked(note)) = &self.outcome;
        match note.as_str() {
            "" => f.write_str(self.id),
            note => write!(f, "{}: {note}", self.id),
        }
    }
}

/// The findings about one document, and the verdict on the evidence that it depends on, if that was appraised.
pub struct DocumentResult {
    pub title: String,
    pub facts: Vec<(&'static str, String)>,
    pub findings: Vec<Finding>,
    pub verdict: Option<Verdict>,
    /// Whether the caller stated the policy of that verdict.
    pub policy: PolicyOrigin,
}

impl DocumentResult {
    pub fn decision(&self) -> Decision {
        let findings_hold = !self.findings.iter().any(Finding::is_obstacle);
        match self
            .qualified_verdict()
            .map(|qualified| qualified.decision())
        {
            Some(Decision::Accepted) | None if findings_hold => Decision::Accepted,
            Some(other) if findings_hold => other,
            _ => Decision::Rejected,
        }
    }

    /// The verdict, qualified by whether a policy was given.
    pub fn qualified_verdict(&self) -> Option<QualifiedVerdict<'_>> {
        let subject = "attestation report";
        self.verdict.as_ref().map(|verdict| QualifiedVerdict {
            verdict,
            policy: self.policy,
            subject,
        })
    }

    pub fn exit_code(&self) -> u8 {
        self.decision().exit_code()
    }

    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(finding_json).collect();
        let facts: serde_json::Map<String, Value> = self
            .facts
            .iter()
            .map(|(k, v)| (k.replace(' ', "_"), json!(v)))
            .collect();
        json!({
            "subject": self.title,
            "decision": self.decision().as_str(),
            "facts": facts,
            "findings": findings,
            "verdict": self.qualified_verdict().map(|qualified| qualified.to_json()),
        })
    }
}

fn finding_json(finding: &Finding) -> Value {
    let (outcome, note) = match &finding.outcome {
        FindingOutcome::Pass(note) => ("pass", note),
        FindingOutcome::Fail(cause) => ("fail", cause),
        FindingOutcome::Missing(why) => ("missing", why),
        FindingOutcome::NotChecked(why) => ("not_checked", why),
    };
    json!({ "id": finding.id, "outcome": outcome, "note": note })
}
