//! Platforms and their collateral, one thing about them not as it should be.

use vendors::Vendors;
use vendors::intel::knobs::{
    Dates, FmspcInTcbInfo, Knobs, Levels, ModuleInTcbInfo, QuotingEnclave, Revoked, Signer,
};

use super::{Made, made};
use crate::kit::{Kit, accepted, rejected};
use crate::{NOW, SEED};

pub(super) fn add(kit: &mut Kit) {
    type Bend = fn(&mut Knobs);
    let bent: [(&str, &str, Bend, &[&str]); 20] = [
        (
            "tcb-info-expired",
            "TCB info of last month",
            |k| k.tcb_info_dates = Dates::Expired,
            &["tdx.collateral.dates"],
        ),
        (
            "tcb-info-early",
            "TCB info of tomorrow",
            |k| k.tcb_info_dates = Dates::NotYetValid,
            &["tdx.collateral.dates"],
        ),
        (
            "qe-identity-expired",
            "QE identity of last month",
            |k| k.qe_identity_dates = Dates::Expired,
            &["tdx.collateral.dates"],
        ),
        (
            "qe-identity-early",
            "QE identity of tomorrow",
            |k| k.qe_identity_dates = Dates::NotYetValid,
            &["tdx.collateral.dates"],
        ),
        (
            "crl-expired",
            "revocation lists of last month",
            |k| k.crl_dates = Dates::Expired,
            &["tdx.collateral.dates"],
        ),
        (
            "crl-early",
            "revocation lists of tomorrow",
            |k| k.crl_dates = Dates::NotYetValid,
            &["tdx.collateral.dates"],
        ),
        (
            "tcb-info-forged",
            "TCB info signed by nobody's key",
            |k| k.tcb_info_signer = Signer::Impostor,
            &["tdx.tcb_info.signature"],
        ),
        (
            "qe-identity-forged",
            "QE identity signed by nobody's key",
            |k| k.qe_identity_signer = Signer::Impostor,
            &["tdx.qe_identity.signature"],
        ),
        (
            "quote-forged",
            "a quote signed by another key than the attested one",
            |k| k.quote_signer = Signer::Impostor,
            &["tdx.quote.signature"],
        ),
        (
            "qe-report-forged",
            "a QE report signed by another key than the platform's",
            |k| k.qe_report_signer = Signer::Impostor,
            &["tdx.qe.report_signature"],
        ),
        (
            "qe-other-vendor",
            "a quoting enclave of another vendor",
            |k| k.quoting_enclave = QuotingEnclave::OtherVendor,
            &["tdx.qe.identity"],
        ),
        (
            "qe-too-old",
            "a quoting enclave older than every level",
            |k| k.quoting_enclave = QuotingEnclave::TooOld,
            &["tdx.qe.identity"],
        ),
        (
            "pck-revoked",
            "the platform's certificate is revoked",
            |k| k.revoked = Revoked::PckCertificate,
            &["tdx.crl"],
        ),
        (
            "platform-ca-revoked",
            "the platform's authority is revoked",
            |k| k.revoked = Revoked::PlatformCa,
            &["tdx.crl"],
        ),
        (
            "tcb-signing-revoked",
            "the signer of TCB info is revoked",
            |k| k.revoked = Revoked::TcbSigning,
            &["tdx.crl"],
        ),
        (
            "another-family",
            "TCB info of another processor family",
            |k| k.fmspc = FmspcInTcbInfo::AnotherFamily,
            &["tdx.tcb.level"],
        ),
        (
            "module-unknown",
            "a TDX module of a version that Intel does not describe",
            |k| k.module = ModuleInTcbInfo::AnotherVersion,
            &["tdx.tcb.level"],
        ),
        (
            "no-level",
            "every TCB level is above the platform",
            |k| k.levels = Levels::AllAbove,
            &["tdx.tcb.level"],
        ),
        (
            "newer-evaluation",
            "a newer evaluation is no fault",
            |k| k.evaluation_number = 19,
            &[],
        ),
        (
            "advisory-not-denied",
            "an advisory that the policy does not deny",
            |k| k.advisories = vec!["INTEL-SA-00001".into()],
            &[],
        ),
    ];
    for (name, says, bend, failing) in bent {
        let mut knobs = Knobs::default();
        bend(&mut knobs);
        let expected = if failing.is_empty() {
            accepted()
        } else {
            rejected(failing)
        };
        Made {
            platform: Vendors::with_knobs(&SEED, NOW, knobs),
            ..made()
        }
        .add(kit, name, says, expected);
    }
}
