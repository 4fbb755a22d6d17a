//! One thing bent at a time: our own verdict must name the check that it breaks.

use attest_core::{
    Appraiser, AttestationPolicy, Decision, ReportData, RootOrigin, UnixTime, Verdict,
};
use vendors::intel::knobs::{
    Dates, FmspcInTcbInfo, Knobs, Levels, QuotingEnclave, Revoked, Signer,
};
use vendors::policy::pinned_policy;
use vendors::{TdMeasurements, Vendors};

mod asked_by_policy;

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const SEED: [u8; 32] = [7; 32];

fn enclave() -> TdMeasurements {
    TdMeasurements::named("enclave")
}

fn appraise(platform: &Vendors, roots: &Vendors, policy: &str, quote: &[u8]) -> Verdict {
    Appraiser {
        roots: &roots.roots(),
        policy: &AttestationPolicy::parse(policy).expect("a valid policy"),
        collateral: Some(&platform.collateral()),
        now: NOW,
    }
    .quote(quote)
}

fn quote(platform: &Vendors, td: &TdMeasurements) -> Vec<u8> {
    platform.quote(td, &ReportData::observed([9; 64]))
}

fn healthy() -> Vendors {
    Vendors::from_seed(&SEED, NOW)
}

fn bent(bend: impl FnOnce(&mut Knobs)) -> Vendors {
    let mut knobs = Knobs::default();
    bend(&mut knobs);
    Vendors::with_knobs(&SEED, NOW, knobs)
}

/// The only failures of the verdict, by id.
fn failures(verdict: &Verdict) -> Vec<&'static str> {
    verdict.failures().map(|(id, _)| id.as_str()).collect()
}

#[test]
fn accepts_a_healthy_platform_and_reports_its_supplied_root() {
    let policy = pinned_policy("enclave", &enclave());
    let verdict = appraise(
        &healthy(),
        &healthy(),
        &policy,
        &quote(&healthy(), &enclave()),
    );
    assert_eq!(failures(&verdict), Vec::<&str>::new());
    assert_eq!(
        verdict.decision(),
        Decision::Accepted,
        "{:#}",
        verdict.to_json()
    );
    assert_eq!(verdict.root_origin(), RootOrigin::Supplied);
    assert_eq!(verdict.to_json()["roots"], "supplied");
}

#[test]
fn each_fault_fails_the_check_that_it_breaks() {
    type Bend = fn(&mut Knobs);
    let cases: &[(&str, Bend)] = &[
        ("tdx.tcb.level", |k| k.levels = Levels::AllAbove),
        ("tdx.tcb.level", |k| k.fmspc = FmspcInTcbInfo::AnotherFamily),
        ("tdx.tcb.status", |k| k.tcb_status = "Revoked".to_owned()),
        ("tdx.tcb.status", |k| k.tcb_status = "OutOfDate".to_owned()),
        ("tdx.tcb.status", |k| {
            k.tcb_status = "ConfigurationNeeded".to_owned()
        }),
        ("tdx.collateral.dates", |k| {
            k.tcb_info_dates = Dates::Expired
        }),
        ("tdx.collateral.dates", |k| {
            k.tcb_info_dates = Dates::NotYetValid
        }),
        ("tdx.collateral.dates", |k| {
            k.qe_identity_dates = Dates::Expired
        }),
        ("tdx.collateral.dates", |k| {
            k.qe_identity_dates = Dates::NotYetValid
        }),
        ("tdx.collateral.dates", |k| k.crl_dates = Dates::Expired),
        ("tdx.tcb_info.signature", |k| {
            k.tcb_info_signer = Signer::Impostor
        }),
        ("tdx.qe_identity.signature", |k| {
            k.qe_identity_signer = Signer::Impostor
        }),
        ("tdx.quote.signature", |k| k.quote_signer = Signer::Impostor),
        ("tdx.qe.report_signature", |k| {
            k.qe_report_signer = Signer::Impostor
        }),
        ("tdx.qe.identity", |k| {
            k.quoting_enclave = QuotingEnclave::OtherVendor
        }),
        ("tdx.qe.identity", |k| {
            k.quoting_enclave = QuotingEnclave::TooOld
        }),
        ("tdx.crl", |k| k.revoked = Revoked::PckCertificate),
        ("tdx.crl", |k| k.revoked = Revoked::PlatformCa),
        ("tdx.crl", |k| k.revoked = Revoked::TcbSigning),
    ];
    let policy = pinned_policy("enclave", &enclave());
    for (index, (id, bend)) in cases.iter().enumerate() {
        let platform = bent(bend);
        let verdict = appraise(&platform, &platform, &policy, &quote(&platform, &enclave()));
        assert_eq!(failures(&verdict), [*id], "case {index}");
        assert_eq!(verdict.decision(), Decision::Rejected, "case {index}");
    }
}

#[test]
fn each_wrong_attribute_of_the_td_fails_its_own_check() {
    let policy = pinned_policy("enclave", &enclave());
    for (id, attributes) in [
        (
            "tdx.td.debug",
            TdMeasurements::SEPT_VE_DISABLE | TdMeasurements::DEBUG,
        ),
        ("tdx.td.sept_ve_disable", 0),
        (
            "tdx.td.attributes",
            TdMeasurements::SEPT_VE_DISABLE | TdMeasurements::MIGRATABLE,
        ),
        (
            "tdx.td.attributes",
            TdMeasurements::SEPT_VE_DISABLE | TdMeasurements::RESERVED,
        ),
    ] {
        let td = enclave().with_attributes(attributes);
        let verdict = appraise(&healthy(), &healthy(), &policy, &quote(&healthy(), &td));
        assert!(
            failures(&verdict).contains(&id),
            "{id}: {:?}",
            failures(&verdict)
        );
        assert_eq!(verdict.decision(), Decision::Rejected);
    }
}

#[test]
fn each_wrong_register_fails_its_own_check() {
    let policy = pinned_policy("enclave", &enclave());
    type Bend = fn(&mut TdMeasurements);
    let cases: [(&str, Bend); 6] = [
        ("tdx.measurement.mrtd", |td| td.mr_td[0] ^= 1),
        ("tdx.measurement.rtmr0", |td| td.rtmr[0][47] ^= 1),
        ("tdx.measurement.rtmr1", |td| td.rtmr[1][0] ^= 1),
        ("tdx.measurement.rtmr2", |td| td.rtmr[2][0] ^= 0x80),
        ("tdx.measurement.rtmr3", |td| td.rtmr[3][0] ^= 1),
        ("tdx.measurement.mrseam", |td| td.mr_seam[0] ^= 1),
    ];
    for (id, bend) in cases {
        let mut td = enclave();
        bend(&mut td);
        let verdict = appraise(&healthy(), &healthy(), &policy, &quote(&healthy(), &td));
        assert_eq!(failures(&verdict), [id]);
    }
}

#[test]
fn policy_floors_apply_to_the_platform() {
    let policy = |more: &str| pinned_policy("enclave", &enclave()) + more;
    let advised = bent(|knobs| knobs.advisories = vec!["INTEL-SA-01234".to_owned()]);
    let verdict = appraise(
        &advised,
        &advised,
        &policy("denied_advisories = [\"INTEL-SA-01234\"]\n"),
        &quote(&advised, &enclave()),
    );
    assert_eq!(failures(&verdict), ["tdx.tcb.advisories"]);

    let old = bent(|knobs| knobs.evaluation_number = 17);
    let floor = policy("min_tcb_evaluation_data_number = 18\n");
    let verdict = appraise(&old, &old, &floor, &quote(&old, &enclave()));
    assert_eq!(failures(&verdict), ["tdx.tcb.evaluation_data_number"]);
    let verdict = appraise(
        &healthy(),
        &healthy(),
        &floor,
        &quote(&healthy(), &enclave()),
    );
    assert_eq!(verdict.decision(), Decision::Accepted);
}

#[test]
fn another_seed_is_another_root() {
    let policy = pinned_policy("enclave", &enclave());
    let stranger = Vendors::from_seed(&[8; 32], NOW);
    let verdict = appraise(
        &healthy(),
        &stranger,
        &policy,
        &quote(&healthy(), &enclave()),
    );
    assert_eq!(verdict.decision(), Decision::Rejected);
    let first = failures(&verdict)[0];
    assert!(
        ["tdx.pck.chain", "tdx.crl", "tdx.tcb_info.signature"].contains(&first),
        "{first}"
    );
}

#[test]
fn intels_root_rejects_the_software_platform() {
    let verdict = Appraiser {
        roots: &attest_core::Roots::vendor(),
        policy: &AttestationPolicy::parse(&pinned_policy("enclave", &enclave())).unwrap(),
        collateral: Some(&healthy().collateral()),
        now: NOW,
    }
    .quote(&quote(&healthy(), &enclave()));
    assert_eq!(verdict.decision(), Decision::Rejected);
    assert_eq!(verdict.root_origin(), RootOrigin::Vendor);
}

#[test]
fn rejects_a_quote_with_any_flipped_bit_in_its_signed_part() {
    let policy = pinned_policy("enclave", &enclave());
    let original = quote(&healthy(), &enclave());
    // Every 13th byte of header and body, then the signature and the attestation key.
    for at in (0..632).step_by(13).chain(636..640).chain(700..704) {
        let mut flipped = original.clone();
        flipped[at] ^= 1;
        let verdict = appraise(&healthy(), &healthy(), &policy, &flipped);
        assert_ne!(verdict.decision(), Decision::Accepted, "byte {at}");
    }
}
