//! The mock hierarchy, judged by a verifier that is not ours: that it is what Intel's would be.

use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::QuoteVerifier;

use vendors::TdMeasurements;
use vendors::intel::MockIntel;
use vendors::intel::knobs::{
    Dates, FmspcInTcbInfo, Knobs, Levels, QuotingEnclave, Revoked, Signer,
};

const NOW: u64 = 1_790_000_000;
const SEED: [u8; 32] = [7; 32];

fn verify(
    platform: &MockIntel,
    root: &MockIntel,
    td: &TdMeasurements,
) -> Result<(String, Vec<String>), String> {
    let collateral = serde_json::to_string(&platform.collateral()).expect("collateral serialises");
    let collateral: QuoteCollateralV3 =
        serde_json::from_str(&collateral).expect("the nine fields are what dcap-qvl reads");
    QuoteVerifier::new(root.root_der().to_vec())
        .verify(&platform.quote(td, &[9; 64]), &collateral, NOW)
        .map(|report| (report.status, report.advisory_ids))
        .map_err(|error| format!("{error:#}"))
}

fn bent(bend: impl FnOnce(&mut Knobs)) -> MockIntel {
    let mut knobs = Knobs::default();
    bend(&mut knobs);
    MockIntel::new(&SEED, knobs, NOW)
}

fn healthy() -> MockIntel {
    bent(|_| {})
}

#[test]
fn a_healthy_platform_is_accepted_as_up_to_date() {
    let verdict = verify(&healthy(), &healthy(), &TdMeasurements::named("enclave"));
    assert_eq!(verdict, Ok(("UpToDate".to_owned(), vec![])));
}

#[test]
fn the_same_seed_and_time_give_the_same_bytes() {
    let td = TdMeasurements::named("enclave");
    assert_eq!(
        healthy().quote(&td, &[1; 64]),
        healthy().quote(&td, &[1; 64])
    );
    assert_eq!(healthy().root_pem(), healthy().root_pem());
    let collateral = |platform: MockIntel| serde_json::to_string(&platform.collateral()).unwrap();
    assert_eq!(collateral(healthy()), collateral(healthy()));
    let later = MockIntel::new(&SEED, Knobs::default(), NOW + 1);
    assert_eq!(
        healthy().root_pem(),
        later.root_pem(),
        "a seed has one root at every time"
    );
}

#[test]
fn the_quote_states_the_measurements_it_was_asked_for() {
    let td = TdMeasurements::named("enclave");
    let quote = healthy().quote(&td, &[9; 64]);
    let parsed = dcap_qvl::quote::Quote::parse(&quote).expect("a well-formed quote");
    let report = parsed.report.as_td10().expect("a TD 1.0 report");
    assert_eq!(report.mr_td, td.mr_td);
    assert_eq!(
        [report.rt_mr0, report.rt_mr1, report.rt_mr2, report.rt_mr3],
        td.rtmr
    );
    assert_eq!(report.mr_seam, td.mr_seam);
    assert_eq!(report.report_data, [9; 64]);
    let leaf = &dcap_qvl::intel::extract_cert_chain(&parsed).expect("a chain")[0];
    let claims = dcap_qvl::intel::parse_pck_extension(leaf).expect("the SGX extension");
    let platform = healthy();
    assert_eq!(claims.ppid, platform.claims().ppid);
    assert_eq!(claims.cpu_svn, platform.claims().cpu_svn);
    assert_eq!(claims.fmspc, platform.claims().fmspc);
    assert_eq!(claims.pce_svn, u16::from(platform.claims().pce_svn));
    assert_eq!(claims.sgx_type, 1);
    assert_eq!(claims.smt_enabled, Some(true));
    assert_eq!(
        claims.platform_instance_id.as_deref(),
        Some(&platform.claims().platform_instance_id[..])
    );
}

#[test]
fn status_and_advisories_of_the_level_are_reported() {
    let platform = bent(|knobs| {
        knobs.tcb_status = "SWHardeningNeeded".to_owned();
        knobs.advisories = vec!["INTEL-SA-01234".to_owned()];
    });
    assert_eq!(
        verify(&platform, &platform, &TdMeasurements::named("enclave")),
        Ok((
            "SWHardeningNeeded".to_owned(),
            vec!["INTEL-SA-01234".to_owned()]
        ))
    );
}

#[test]
fn each_fault_is_rejected_with_its_own_reason() {
    type Bend = fn(&mut Knobs);
    let cases: [(Bend, &str); 14] = [
        (|k| k.levels = Levels::AllAbove, "No matching TCB level"),
        (|k| k.tcb_status = "Revoked".to_owned(), "Revoked"),
        (|k| k.tcb_info_dates = Dates::Expired, "TCBInfo expired"),
        (
            |k| k.tcb_info_dates = Dates::NotYetValid,
            "TCBInfo issue date is in the future",
        ),
        (
            |k| k.qe_identity_dates = Dates::Expired,
            "QE Identity expired",
        ),
        (|k| k.crl_dates = Dates::Expired, "CrlExpired"),
        (
            |k| k.tcb_info_signer = Signer::Impostor,
            "Signature is invalid for tcb_info",
        ),
        (
            |k| k.qe_identity_signer = Signer::Impostor,
            "Signature is invalid for qe_identity",
        ),
        (
            |k| k.quote_signer = Signer::Impostor,
            "ISV enclave report signature is invalid",
        ),
        (
            |k| k.qe_report_signer = Signer::Impostor,
            "Signature is invalid for qe_report",
        ),
        (
            |k| k.quoting_enclave = QuotingEnclave::OtherVendor,
            "QE MRSIGNER mismatch",
        ),
        (
            |k| k.quoting_enclave = QuotingEnclave::TooOld,
            "below minimum required",
        ),
        (|k| k.revoked = Revoked::PckCertificate, "CertRevoked"),
        (
            |k| k.fmspc = FmspcInTcbInfo::AnotherFamily,
            "Fmspc mismatch",
        ),
    ];
    for (bend, reason) in cases {
        let platform = bent(bend);
        let refused =
            verify(&platform, &platform, &TdMeasurements::named("enclave")).expect_err(reason);
        assert!(
            refused.contains(reason),
            "wanted {reason:?}, got {refused:?}"
        );
    }
    for revoked in [Revoked::PlatformCa, Revoked::TcbSigning] {
        let platform = bent(|knobs| knobs.revoked = revoked);
        let refused =
            verify(&platform, &platform, &TdMeasurements::named("enclave")).expect_err("revoked");
        assert!(refused.contains("CertRevoked"), "{revoked:?}: {refused}");
    }
}

#[test]
fn bad_td_attributes_are_refused() {
    for (attributes, reason) in [
        (
            TdMeasurements::SEPT_VE_DISABLE | TdMeasurements::DEBUG,
            "Debug mode is enabled",
        ),
        (0, "SEPT_VE_DISABLE is not enabled"),
        (
            TdMeasurements::SEPT_VE_DISABLE | TdMeasurements::MIGRATABLE,
            "migration is enabled",
        ),
        (
            TdMeasurements::SEPT_VE_DISABLE | TdMeasurements::RESERVED,
            "Reserved bits",
        ),
    ] {
        let td = TdMeasurements::named("enclave").with_attributes(attributes);
        let refused = verify(&healthy(), &healthy(), &td).expect_err(reason);
        assert!(
            refused.contains(reason),
            "wanted {reason:?}, got {refused:?}"
        );
    }
}

#[test]
fn rejects_our_evidence_under_another_root() {
    let stranger = MockIntel::new(&[8; 32], Knobs::default(), NOW);
    assert!(verify(&healthy(), &stranger, &TdMeasurements::named("enclave")).is_err());
}
