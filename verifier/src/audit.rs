//! Findings about receipts and sessions, as the core reports them, gathered for a reader.
//! The checks themselves are the core's; this only names them and keeps their order.

use serde_json::{Value, json};

use attest_core::{Decision, Verdict};

use crate::judged::{Judged, PolicyOrigin};

/// One named finding. A `NotChecked` that is `needed` is not a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub id: &'static str,
    pub standing: Standing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Pass(String),
    Fail(String),
    /// Needed for acceptance but could not be looked at.
    Missing(String),
    /// Not asked for, or does not apply.
    NotChecked(String),
}

impl Finding {
    pub fn pass(id: &'static str, note: impl Into<String>) -> Self {
        Self {
            id,
            standing: Standing::Pass(note.into()),
        }
    }

    pub fn fail(id: &'static str, cause: impl std::fmt::Display) -> Self {
        Self {
            id,
            standing: Standing::Fail(cause.to_string()),
        }
    }

    pub fn missing(id: &'static str, why: impl Into<String>) -> Self {
        Self {
            id,
            standing: Standing::Missing(why.into()),
        }
    }

    pub fn not_checked(id: &'static str, why: impl Into<String>) -> Self {
        Self {
            id,
            standing: Standing::NotChecked(why.into()),
        }
    }

    /// From a core result: its error is the cause.
    pub fn of<E: std::fmt::Display>(id: &'static str, result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self::pass(id, ""),
            Err(e) => Self::fail(id, e),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Standing::Pass(note)
        | Standing::Fail(note)
        | Standing::Missing(note)
        | Standing::NotChecked(note)) = &self.standing;
        match note.as_str() {
            "" => f.write_str(self.id),
            note => write!(f, "{}: {note}", self.id),
        }
    }
}

/// What was found about one document, and the verdict on the evidence it rests on, if judged.
pub struct Audit {
    pub title: String,
    pub facts: Vec<(&'static str, String)>,
    pub findings: Vec<Finding>,
    pub verdict: Option<Verdict>,
    /// Whether that verdict was reached under a policy of the caller's.
    pub policy: PolicyOrigin,
}

impl Audit {
    pub fn decision(&self) -> Decision {
        let findings_hold = self
            .findings
            .iter()
            .all(|f| matches!(f.standing, Standing::Pass(_) | Standing::NotChecked(_)));
        match self.judged().map(|judged| judged.decision()) {
            Some(Decision::Accepted) | None if findings_hold => Decision::Accepted,
            Some(other) if findings_hold => other,
            _ => Decision::Rejected,
        }
    }

    /// The verdict with its caveat, if there is one.
    pub fn judged(&self) -> Option<Judged<'_>> {
        let subject = "attestation report";
        self.verdict.as_ref().map(|verdict| Judged {
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
            "verdict": self.judged().map(|judged| judged.to_json()),
        })
    }
}

fn finding_json(finding: &Finding) -> Value {
    let (outcome, note) = match &finding.standing {
        Standing::Pass(note) => ("pass", note),
        Standing::Fail(cause) => ("fail", cause),
        Standing::Missing(why) => ("missing", why),
        Standing::NotChecked(why) => ("not_checked", why),
    };
    json!({ "id": finding.id, "outcome": outcome, "note": note })
}
