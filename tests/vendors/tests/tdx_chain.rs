//! The certificate chain in a quote: read once, whole, and everything that is said of the platform is
//! said by the certificate that was verified.

use attest_core::{
    Appraiser, AttestationPolicy, Cause, CheckId, Decision, ReportData, UnixTime, Verdict,
};
use vendors::intel::knobs::{Knobs, PckChainForm};
use vendors::{TdMeasurements, Vendors};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

fn bent(bend: impl FnOnce(&mut Knobs)) -> Vendors {
    let mut knobs = Knobs::default();
    bend(&mut knobs);
    Vendors::with_knobs(&[7; 32], NOW, knobs)
}

fn appraised(platform: &Vendors, td: &TdMeasurements, more: &str) -> Verdict {
    let policy = format!("name = \"any\"\n[tdx]\nmeasurements = \"any\"\n{more}");
    Appraiser {
        roots: &platform.roots(),
        policy: &AttestationPolicy::parse(&policy).expect("a policy"),
        collateral: Some(&platform.collateral()),
        now: NOW,
    }
    .quote(&platform.quote(td, &ReportData::observed([9; 64])))
}

fn chain(form: PckChainForm, more: &str) -> Verdict {
    let platform = bent(|knobs| knobs.pck_chain = form);
    appraised(&platform, &TdMeasurements::named("enclave"), more)
}

fn failures(verdict: &Verdict) -> Vec<&'static str> {
    verdict.failures().map(|(id, _)| id.as_str()).collect()
}

fn hex(bytes: &[u8]) -> String {
    attest_core::to_hex(bytes)
}

#[test]
fn rejects_bytes_outside_the_certificates_of_the_chain() {
    for form in [
        PckChainForm::JunkBefore,
        PckChainForm::JunkBetween,
        PckChainForm::JunkAfter,
    ] {
        let verdict = chain(form, "");
        assert_eq!(failures(&verdict), ["tdx.pck.chain"], "{form:?}");
        assert_eq!(verdict.decision(), Decision::Rejected);
    }
}

#[test]
fn accepts_the_terminator_that_intels_library_appends_to_a_chain() {
    for form in [PckChainForm::Usual, PckChainForm::NulAfter] {
        let verdict = chain(form, "");
        assert_eq!(verdict.decision(), Decision::Accepted, "{verdict}");
    }
}

#[test]
fn rejects_a_chain_in_another_order_or_without_its_root() {
    for form in [
        PckChainForm::LeafLast,
        PckChainForm::RootMissing,
        PckChainForm::RootCorrupt,
    ] {
        let verdict = chain(form, "");
        assert_eq!(failures(&verdict), ["tdx.pck.chain"], "{form:?}");
    }
}

/// The machine in front is the one that the policy names; the quote is another machine's.
#[test]
fn rejects_the_certificate_of_an_allowed_machine_in_another_machines_quote() {
    let platform = bent(|_| {});
    let ours = platform.intel().claims().ppid;
    let others = hex(&ours.map(|byte| byte ^ 0xff));
    let policy = format!("ppid = [\"{others}\"]\n");
    let honest = chain(PckChainForm::Usual, &policy);
    assert_eq!(failures(&honest), ["tdx.platform.ppid"]);
    for form in [
        PckChainForm::OtherMachineFirst,
        PckChainForm::OtherMachineFirstInAnotherBlock,
        PckChainForm::OtherMachineLast,
    ] {
        for policy in ["", &policy] {
            let verdict = chain(form, policy);
            assert_eq!(failures(&verdict), ["tdx.pck.chain"], "{form:?}");
        }
    }
}

#[test]
fn rejects_tcb_info_for_another_pce_as_for_another_platform() {
    let platform = bent(|knobs| {
        let edit = (r#""pceId":"0000""#, r#""pceId":"0100""#);
        knobs.tcb_info_edits.push(edit);
    });
    let verdict = appraised(&platform, &TdMeasurements::named("enclave"), "");
    let failed: Vec<_> = verdict.failures().collect();
    assert!(
        matches!(
            failed[..],
            [(CheckId::TdxTcbLevel, Cause::CollateralForOtherPlatform(_))]
        ),
        "{failed:?}"
    );
}

#[test]
fn rejects_unknown_extended_features_unless_the_policy_names_them() {
    let td = |xfam| TdMeasurements {
        xfam,
        ..TdMeasurements::named("enclave")
    };
    let usual = td(0).xfam | 0x0006_02e7;
    let accepted = |xfam: u64, more: &str| {
        let verdict = appraised(&bent(|_| {}), &td(xfam), more);
        match &failures(&verdict)[..] {
            [] => true,
            ["tdx.td.xfam"] => false,
            other => panic!("{other:?}"),
        }
    };
    let listed = |value: u64| format!("xfam = [\"{}\"]\n", hex(&value.to_le_bytes()));
    assert!(accepted(usual, ""));
    for bit in 0..64 {
        let changed = usual ^ (1 << bit);
        let known = 0x0006_DBE7_u64 & !0b11;
        assert_eq!(accepted(changed, ""), known & (1 << bit) != 0, "bit {bit}");
        // A policy that lists a value accepts it.
        assert!(accepted(changed, &listed(changed)), "bit {bit}");
        assert!(!accepted(changed, &listed(usual)), "bit {bit}");
    }
}

#[test]
fn bits_outside_a_mask_follow_the_default_rule() {
    let amx = 0x0006_0000_u64;
    let policy = |mask: u64| {
        let [value, mask] = [amx, mask].map(|it| hex(&it.to_le_bytes()));
        format!("xfam = [\"{value}\"]\nxfam_mask = \"{mask}\"\n")
    };
    let failed = |xfam: u64, mask: u64| {
        let td = TdMeasurements {
            xfam,
            ..TdMeasurements::named("enclave")
        };
        failures(&appraised(&bent(|_| {}), &td, &policy(mask))) == ["tdx.td.xfam"]
    };
    assert!(!failed(amx | 0b111, amx));
    assert!(!failed(amx | 0b011, amx));
    assert!(failed(0b111, amx));
    assert!(failed(amx | 0b101, amx));
    assert!(failed(amx | 0b111 | 1 << 31, amx));
    assert!(!failed(amx, u64::MAX));
    let alone = "name = \"n\"\n[tdx]\nmeasurements = \"any\"\nxfam_mask = \"0000060000000000\"\n";
    assert!(AttestationPolicy::parse(alone).is_err());
}
