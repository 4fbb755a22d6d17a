//! The evidence in a report: collateral, devices, measurements, and the kind of TEE.

use attest_core::{
    Appraiser, AttestationPolicy, CheckId, CpuEvidence, Decision, DeviceEvidence, Freshness,
    Outcome, TeeType, Why,
};
use vendors::TdMeasurements;
use vendors::policy::pinned_policy;

use super::{NOW, failures, judge, judge_under, made, nonce, platform, policy, refused_by, tls};

#[test]
fn rejects_a_report_without_the_devices_a_policy_requires() {
    let wanted = policy("[nvidia]\nrequired = true\n");
    let none = judge_under(&made().sign(), &wanted, NOW);
    assert_eq!(none.verdict().decision(), Decision::Rejected);
    assert!(none.trusted().is_err());

    let mut with = made();
    let device = serde_json::json!({"type": "abacus"});
    with.devices = vec![DeviceEvidence::new(device).expect("an object")];
    let report = with.sign();
    let some = judge_under(&report, &wanted, NOW);
    assert_eq!(some.verdict().decision(), Decision::Rejected);
    assert!(failures(&some).contains(&"nvidia.evidence.format"));
    assert!(some.trusted().is_err());
    // Where the policy does not require them, the verdict lists them as not evaluated.
    let unasked = judge(&report);
    let check = unasked
        .verdict()
        .check(CheckId::NvidiaDevices)
        .expect("a check");
    assert_eq!(check.outcome, Outcome::NotEvaluated(Why::NotInPolicy));
    assert!(unasked.trusted().is_ok());
}

#[test]
fn accepts_collateral_from_the_report_or_the_caller_and_rejects_without() {
    let mut without = made();
    without.collateral = None;
    let report = without.sign();
    let alone = judge(&report);
    assert_eq!(alone.verdict().decision(), Decision::Rejected);
    let check = alone
        .verdict()
        .check(CheckId::TdxQuoteSignature)
        .expect("a check");
    assert_eq!(check.outcome, Outcome::NotEvaluated(Why::NoCollateral));
    assert!(alone.trusted().is_err());

    let appraisal = Appraiser {
        roots: &platform().roots(),
        policy: &policy(""),
        collateral: Some(&platform().collateral()),
        now: NOW,
    }
    .report(report.as_bytes(), Freshness::Challenged(nonce()), tls());
    assert!(appraisal.trusted().is_ok());
}

#[test]
fn rejects_another_image_by_its_measurements() {
    let text = pinned_policy("other", &TdMeasurements::named("other"));
    let other = AttestationPolicy::parse(&text).expect("a policy");
    refused_by(
        judge_under(&made().sign(), &other, NOW),
        &[
            "tdx.measurement.mrtd",
            "tdx.measurement.rtmr0",
            "tdx.measurement.rtmr1",
            "tdx.measurement.rtmr2",
            "tdx.measurement.rtmr3",
        ],
    );
}

#[test]
fn rejects_evidence_of_another_tee_without_any_passed_check() {
    let (mut report, key) = made().unsigned();
    report.tee_type = TeeType::SevSnp;
    report.evidence.cpu = CpuEvidence::SevSnp {
        report: vec![0; 1184],
        certs: vec![],
    };
    let appraisal = judge(&report.sign(&key).to_json());
    assert_eq!(appraisal.verdict().decision(), Decision::Malformed);
    assert_eq!(failures(&appraisal), ["snp.report.format", "policy.tee"]);
    assert!(appraisal.trusted().is_err());
}
