//! The audit log's head in a report: the service's own, about this epoch, of an accepted log.

use std::time::Duration;

use attest_core::log::{EpochReason, EpochStart, Origin, Word};

use attest_core::{
    Appraisal, AttestationPolicy, CheckId, Decision, Outcome, Sha256Digest, SigningKey, Why,
};
use vendors::audit_log::epoch_document;

use super::{
    CONFIG, NOW, RETENTION, judge, judge_under, keyset, made, policy, refused_by, signing_key,
};

const ORIGIN: Origin = Origin::from_bytes([0xa7; 16]);

fn start() -> EpochStart {
    EpochStart {
        epoch: 1,
        keyset: keyset().digest(),
        key: signing_key().verifying_key(),
        config: Sha256Digest::hash(CONFIG.as_bytes()),
        retention: Sha256Digest::hash(RETENTION.as_bytes()),
        mode: Word::parse("metadata").expect("a word"),
        not_after: NOW.plus(Duration::from_secs(86_400)),
        reason: EpochReason::Start,
    }
}

/// The document of a log of two entries, the second of which is this epoch's beginning.
fn document(start: EpochStart, key: &SigningKey) -> String {
    epoch_document(ORIGIN, NOW, start, key)
}

fn with_log(text: String) -> String {
    let mut made = made();
    made.documents.insert("log".to_owned(), text);
    made.sign()
}

fn judge_for(report: &str, section: &str) -> Appraisal {
    judge_under(report, &policy(&format!("[log]\n{section}\n")), NOW)
}

#[test]
fn accepts_a_report_with_its_epoch_in_the_log_and_reports_the_head() {
    let report = with_log(document(start(), &signing_key()));
    let wanted = format!("required = true\norigins = [\"{ORIGIN}\"]\nmin_size = 2");
    for appraisal in [judge(&report), judge_for(&report, &wanted)] {
        let verdict = appraisal.verdict();
        assert_eq!(verdict.decision(), Decision::Accepted, "{verdict}");
        for id in [CheckId::LogCheckpoint, CheckId::LogEpoch] {
            let outcome = verdict.check(id).map(|check| &check.outcome);
            assert_eq!(outcome, Some(&Outcome::Pass), "{id}");
        }
        let facts = verdict.facts().report.as_ref().expect("facts");
        assert_eq!(
            facts.log.map(|log| (log.origin, log.size)),
            Some((ORIGIN, 2))
        );
    }
}

#[test]
fn rejects_a_report_without_a_log_only_if_the_policy_requires_one() {
    let report = made().sign();
    assert_eq!(judge(&report).verdict().decision(), Decision::Accepted);
    let unasked = judge_for(&report, "required = false");
    assert_eq!(unasked.verdict().decision(), Decision::Accepted);
    let refused = judge_for(&report, "required = true");
    assert_eq!(refused.verdict().decision(), Decision::Rejected);
    for id in [CheckId::LogCheckpoint, CheckId::LogEpoch] {
        let check = refused.verdict().check(id).expect("the check");
        assert_eq!(check.outcome, Outcome::NotEvaluated(Why::Absent), "{id}");
        assert!(check.required);
    }
}

#[test]
fn rejects_a_malformed_head_and_one_signed_by_another_key() {
    let other = SigningKey::from_seed("receipt-1", &[9; 32]).expect("a key");
    let forged = with_log(document(start(), &other));
    refused_by(judge(&forged), &["log.checkpoint"]);
    let unreadable = with_log("hello\n".to_owned());
    refused_by(judge(&unreadable), &["log.checkpoint"]);
}

#[test]
fn rejects_a_head_of_a_log_with_another_epoch() {
    let other = Sha256Digest::hash(b"other");
    let bent: [fn(&mut EpochStart, Sha256Digest); 3] = [
        |start, other| start.keyset = other,
        |start, other| start.config = other,
        |start, other| start.retention = other,
    ];
    for bend in bent {
        let mut start = start();
        bend(&mut start, other);
        let report = with_log(document(start, &signing_key()));
        refused_by(judge(&report), &["log.epoch"]);
    }
}

#[test]
fn rejects_a_restarted_or_shorter_log_than_the_policy_pins() {
    let report = with_log(document(start(), &signing_key()));
    let another = format!(
        "required = true\norigins = [\"sealgate.log/{}\"]",
        "b8".repeat(16)
    );
    refused_by(judge_for(&report, &another), &["log.checkpoint"]);
    let more = "required = true\nmin_size = 3";
    refused_by(judge_for(&report, more), &["log.checkpoint"]);
    let careless = AttestationPolicy::parse(
        "name = \"a\"\n[tdx]\nmeasurements = \"any\"\n[log]\nrequired = false\nmin_size = 3\n",
    );
    assert!(careless.is_err(), "a floor that nothing checks");
}
