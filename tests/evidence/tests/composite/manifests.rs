//! What a policy asks of manifests: each question fails under its own name and under no other.

use attest_core::nvidia::{DeviceKind, UnverifiedDevice};
use attest_core::{CheckId, Decision, DeviceEvidence, NvidiaCollateral, Outcome};
use vendors::intel::knobs::Dates;
use vendors::nvidia::knobs::ManifestKnobs;
use vendors::nvidia::ocsp::{OcspKnobs, Status};
use vendors::nvidia::{Chip, Source};

use super::super::{
    collateral, expected_nonce, judge, manifest, manifests, nvidia, policy, refused_by,
    refused_for_want_of, report, td,
};

const GPU: &str = "[nvidia]\nrequired = true\ngpus = 1\n";

fn one_gpu() -> Vec<DeviceEvidence> {
    let device = nvidia().healthy(Chip::Hopper, "alone");
    let device = UnverifiedDevice {
        kind: DeviceKind::Gpu,
        evidence: device.report(&expected_nonce()),
        certificate_chain: device.chain_pem(),
    };
    vec![device.to_evidence()]
}

fn report_with(nvidia: NvidiaCollateral) -> String {
    report(td(), one_gpu(), collateral(nvidia))
}

fn with_driver(driver: Vec<u8>) -> String {
    report_with(NvidiaCollateral {
        rims: vec![driver, manifest(Chip::Hopper, Source::Vbios)],
        ocsp: vec![],
    })
}

#[test]
fn rejects_a_manifest_for_another_chip_by_its_product() {
    let nvidia = nvidia();
    let mut other = nvidia.manifest(Chip::Hopper, Source::Driver);
    other.product = nvidia.manifest(Chip::Blackwell, Source::Driver).product;
    let other = nvidia.sign(&other, &ManifestKnobs::default()).into_bytes();
    refused_by(
        judge(&with_driver(other), &policy(GPU)),
        &["nvidia.rim.product"],
    );
}

#[test]
fn rejects_a_manifest_that_is_not_pinned_by_its_digest() {
    let driver = manifest(Chip::Hopper, Source::Driver);
    let digest = |bytes: &[u8]| attest_core::Sha256Digest::hash(bytes);
    let vbios = digest(&manifest(Chip::Hopper, Source::Vbios));
    let pins = |driver| format!("{GPU}rim_digests = [\"{driver}\", \"{vbios}\"]\n");
    let good = policy(&pins(digest(&driver)));
    let report = with_driver(driver);
    assert!(judge(&report, &good).trusted().is_ok());
    let other = policy(&pins(digest(b"another")));
    refused_by(judge(&report, &other), &["nvidia.rim.digest"]);
}

#[test]
fn rejects_an_expired_signer_unless_the_policy_skips_the_check() {
    let nvidia = nvidia();
    for signer_dates in [Dates::Expired, Dates::NotYetValid] {
        let knobs = ManifestKnobs {
            signer_dates,
            ..ManifestKnobs::default()
        };
        let driver = nvidia.manifest(Chip::Hopper, Source::Driver);
        let report = with_driver(nvidia.sign(&driver, &knobs).into_bytes());
        refused_by(judge(&report, &policy(GPU)), &["nvidia.rim.signer_dates"]);
        let ignored = policy(&format!("{GPU}rim_signer_dates = \"ignored\"\n"));
        let appraisal = judge(&report, &ignored);
        let listed = appraisal.verdict().check(CheckId::NvidiaRimSignerDates);
        assert!(matches!(
            listed.expect("it").outcome,
            Outcome::NotEvaluated(_)
        ));
        assert!(appraisal.trusted().is_ok());
    }
}

#[test]
fn rejects_a_revoked_manifest_signer_and_a_missing_required_ocsp_answer() {
    let nvidia = nvidia();
    let answer = |place, status| {
        let knobs = OcspKnobs {
            status,
            ..OcspKnobs::good(None)
        };
        nvidia.ocsp_of_manifest_signer(place, &knobs)
    };
    let judged = |ocsp: Vec<Vec<u8>>, more: &str| {
        let report = report_with(NvidiaCollateral {
            ocsp,
            ..manifests()
        });
        judge(&report, &policy(&format!("{GPU}ocsp = \"off\"\n{more}")))
    };
    let required = "rim_ocsp = \"required\"\n";
    let good: Vec<_> = (0..3).map(|place| answer(place, Status::Good)).collect();
    assert!(judged(good.clone(), required).trusted().is_ok());
    refused_for_want_of(judged(vec![], required), "nvidia.rim.ocsp");
    refused_by(judged(good[..2].to_vec(), required), &["nvidia.rim.ocsp"]);
    let revoked = vec![answer(0, Status::Revoked)];
    refused_by(judged(revoked.clone(), ""), &["nvidia.rim.ocsp"]);
    assert!(judged(revoked, "rim_ocsp = \"off\"\n").trusted().is_ok());
}

#[test]
fn reports_a_wrong_count_when_a_device_lacks_a_published_measurement() {
    let nvidia = nvidia();
    let mut longer = nvidia.manifest(Chip::Hopper, Source::Driver);
    let mut beyond = longer.values[0].clone();
    (beyond.index, beyond.active) = (64, true);
    longer.values.push(beyond);
    let longer = nvidia.sign(&longer, &ManifestKnobs::default()).into_bytes();
    refused_by(
        judge(&with_driver(longer), &policy(GPU)),
        &["nvidia.measurements.count"],
    );
}

#[test]
fn without_manifests_a_device_is_authentic_and_its_measurements_are_not_appraised() {
    let bare = report_with(NvidiaCollateral::default());
    refused_for_want_of(judge(&bare, &policy(GPU)), "nvidia.rim.driver");
    let optional = policy(&format!("{GPU}rims = \"optional\"\n"));
    let appraisal = judge(&bare, &optional);
    let check = |id| {
        appraisal
            .verdict()
            .check(id)
            .expect("the check")
            .outcome
            .clone()
    };
    assert_eq!(check(CheckId::NvidiaChain), Outcome::Pass);
    assert_eq!(check(CheckId::NvidiaReportSignature), Outcome::Pass);
    assert!(matches!(
        check(CheckId::NvidiaMeasurements),
        Outcome::NotEvaluated(_)
    ));
    assert!(matches!(
        check(CheckId::NvidiaRimOcsp),
        Outcome::NotEvaluated(_)
    ));
    assert_eq!(appraisal.verdict().decision(), Decision::Accepted);
}
