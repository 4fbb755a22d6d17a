//! The documents that the subject commits to, and the policy's limits on them.

use attest_core::{Cause, CheckId, Decision, Outcome, Sha256Digest, Subject, Why};

use super::{CONFIG, NOW, failures, judge, judge_under, made, policy, refused_by};

#[test]
fn rejects_documents_that_the_hardware_evidence_does_not_bind() {
    for (name, check) in [
        ("config", "contract.config"),
        ("retention", "contract.retention"),
    ] {
        let mut other = made();
        other
            .documents
            .insert(name.into(), "mode = \"zero\"\n".into());
        let appraisal = judge(&other.sign());
        assert!(matches!(
            appraisal.verdict().failures().next(),
            Some((failed, Cause::DocumentDigest { .. })) if failed.as_str() == check
        ));
        refused_by(appraisal, &[check]);

        let mut missing = made();
        missing.documents.remove(name);
        refused_by(judge(&missing.sign()), &[check]);
    }
}

#[test]
fn rejects_a_contract_outside_the_policys_limits() {
    let report = made().sign();
    let under = |more: &str| judge_under(&report, &policy(more), NOW);
    let config = Sha256Digest::hash(CONFIG.as_bytes());
    let other = Sha256Digest::hash(b"other");
    assert!(
        under(&format!("[contract]\nconfig = [\"{config}\"]\n"))
            .trusted()
            .is_ok()
    );
    refused_by(
        under(&format!("[contract]\nconfig = [\"{other}\"]\n")),
        &["contract.config"],
    );
    refused_by(
        under(&format!("[contract]\nretention = [\"{other}\"]\n")),
        &["contract.retention"],
    );
    assert!(
        under("[contract]\nmax_retention = \"metadata\"\n")
            .trusted()
            .is_ok()
    );
    assert!(
        under("[contract]\nmax_retention = \"content\"\n")
            .trusted()
            .is_ok()
    );
    let appraisal = under("[contract]\nmax_retention = \"zero\"\n");
    assert_eq!(
        appraisal.verdict().failures().collect::<Vec<_>>(),
        [(
            CheckId::ContractRetention,
            &Cause::RetentionMode {
                got: "metadata",
                limit: "zero"
            }
        )]
    );
}

#[test]
fn rejects_a_report_without_the_required_contract() {
    let mut without = made();
    without.keyset.subject = None;
    let report = without.sign();
    assert!(judge(&report).trusted().is_ok());
    let asked = policy("[contract]\nmax_retention = \"metadata\"\n");
    let appraisal = judge_under(&report, &asked, NOW);
    assert_eq!(failures(&appraisal), Vec::<&str>::new());
    assert_eq!(appraisal.verdict().decision(), Decision::Rejected);
    let check = appraisal
        .verdict()
        .check(CheckId::ContractRetention)
        .expect("a check");
    assert_eq!(check.outcome, Outcome::NotEvaluated(Why::NoContract));
    assert!(appraisal.trusted().is_err());

    let mut garbled = made();
    garbled.keyset.subject = Some("sealgate:1?config=none".into());
    refused_by(
        judge(&garbled.sign()),
        &["contract.config", "contract.retention"],
    );
}

#[test]
fn rejects_a_retention_document_without_a_readable_mode() {
    let text = "version = 1\nmode = \"everything\"\n";
    let mut odd = made();
    odd.documents.insert("retention".into(), text.into());
    let subject = Subject {
        config: Sha256Digest::hash(CONFIG.as_bytes()),
        retention: Sha256Digest::hash(text.as_bytes()),
    };
    odd.keyset.subject = Some(subject.to_string());
    let report = odd.sign();
    assert!(judge(&report).trusted().is_ok());
    let limited = policy("[contract]\nmax_retention = \"content\"\n");
    let appraisal = judge_under(&report, &limited, NOW);
    assert_eq!(
        appraisal.verdict().failures().collect::<Vec<_>>(),
        [(CheckId::ContractRetention, &Cause::RetentionModeUnreadable)]
    );
}

#[test]
fn checks_claimed_provenance_against_the_policy() {
    let mut claimed = made();
    claimed.provenance.repo_commit = Some("abc".into());
    let report = claimed.sign();
    let accepted = policy("[provenance]\nrepo_commit = [\"abc\", \"def\"]\n");
    assert!(judge_under(&report, &accepted, NOW).trusted().is_ok());
    for other in [
        "repo_commit = [\"def\"]",
        "repo_commit = [\"abc\"]\nimage_digest = [\"sha256:00\"]",
    ] {
        let policy = policy(&format!("[provenance]\n{other}\n"));
        refused_by(judge_under(&report, &policy, NOW), &["provenance.source"]);
    }
}
