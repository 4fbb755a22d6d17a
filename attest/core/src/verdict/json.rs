//! The stable JSON form of a verdict.

use serde_json::{Value, json};

use super::{Check, EventLogFacts, Facts, Outcome, ReportFacts, Verdict};
use crate::encoding::to_hex;
use crate::event_log::{LogFormat, LoggedEvent};

pub(super) fn verdict(verdict: &Verdict) -> Value {
    json!({
        "decision": verdict.decision().as_str(),
        "exit_code": verdict.exit_code(),
        "at": verdict.at().to_string(),
        "roots": verdict.root_origin().as_str(),
        "roots_in_words": verdict.root_origin().in_words(),
        "policy": {
            "name": verdict.policy_name(),
            "digest": verdict.policy_digest().to_string(),
        },
        "checks": verdict.checks().iter().map(check).collect::<Vec<_>>(),
        "facts": facts(verdict.facts()),
    })
}

fn check(check: &Check) -> Value {
    let mut value = json!({ "id": check.id.as_str(), "required": check.required });
    match &check.outcome {
        Outcome::Pass => value["outcome"] = "pass".into(),
        Outcome::Fail(cause) => {
            value["outcome"] = "fail".into();
            value["cause"] = json!({ "code": cause.code(), "message": cause.to_string() });
        }
        Outcome::NotEvaluated(why) => {
            value["outcome"] = "not_evaluated".into();
            value["why"] = json!({ "code": why.code(), "message": why.to_string() });
        }
    }
    value
}

fn facts(facts: &Facts) -> Value {
    json!({
        "tdx": facts.tdx.as_ref().map(crate::tdx::facts_to_json),
        "snp": facts.snp.as_ref().map(crate::snp::facts_to_json),
        "devices": facts.devices.iter().map(crate::nvidia::facts_to_json).collect::<Vec<_>>(),
        "event_log": facts.event_log.as_ref().map(event_log),
        "report": facts.report.as_ref().map(report),
    })
}

fn report(facts: &ReportFacts) -> Value {
    let mut value = json!({
        "keyset_digest": facts.keyset_digest.to_string(),
        "not_after": facts.not_after.to_string(),
        "subject": facts.subject,
        "serving": facts.serving.name(),
        "repo_url": facts.repo_url,
        "repo_commit": facts.repo_commit,
        "image_digest": facts.image_digest,
        "retention_mode": facts.retention_mode,
        "devices": facts.devices,
        "event_log": facts.event_log,
        "log": facts.log.map(|log| json!({
            "origin": log.origin.to_string(),
            "size": log.size,
            "root": log.root.to_string(),
        })),
    });
    if let Some(retention) = &facts.retention_tenant {
        value["retention_tenant"] = json!({
            "tenant": retention.tenant,
            "mode": retention.mode,
            "opened": retention.unopened.is_none(),
        });
    }
    value
}

fn event_log(facts: &EventLogFacts) -> Value {
    json!({
        "format": match facts.format {
            LogFormat::Ccel => "ccel",
            LogFormat::Dstack => "dstack",
        },
        "replay": facts.replay.iter().map(|register| to_hex(register)).collect::<Vec<_>>(),
        "events": facts.events.iter().map(event).collect::<Vec<_>>(),
    })
}

/// Of the payload only what the digest covers: the rest may be anything.
fn event(event: &LoggedEvent) -> Value {
    json!({
        "register": event.register().map(|register| register.to_string()),
        "type": event.claimed_type().to_string(),
        "name": event.name(),
        "digest": to_hex(event.digest()),
        "measured_payload": event.bound_payload().map(to_hex),
    })
}
