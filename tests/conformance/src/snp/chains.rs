//! Certificates, signatures and revocation lists, one thing about them not as it should be.

use vendors::amd::knobs::{
    Algorithm, Authorities, Claims, CrlKnobs, CrlSigner, Dates, Knobs, Names, ReportSigner,
    Revoked, SignatureField, Signer,
};

use super::{ANY, Made, made, milan};
use crate::kit::{Kit, accepted, missing, rejected};

pub(super) fn add(kit: &mut Kit) {
    type Bend = fn(&mut Knobs);
    let bent: [(&str, Bend, &str); 24] = [
        ("root-impostor", |k| k.root = Signer::Impostor, "snp.chain"),
        (
            "ask-forged",
            |k| k.ask_signer = Signer::Impostor,
            "snp.chain",
        ),
        (
            "vek-forged",
            |k| k.vek_signer = Signer::Impostor,
            "snp.chain",
        ),
        (
            "ask-of-another-product",
            |k| k.names = Names::AskOfAnotherProduct,
            "snp.chain",
        ),
        (
            "ask-of-the-other-kind",
            |k| k.names = Names::AskOfTheOtherKind,
            "snp.chain",
        ),
        (
            "vek-under-another-name",
            |k| k.names = Names::VekIssuedUnderAnotherName,
            "snp.chain",
        ),
        (
            "vek-is-none",
            |k| k.names = Names::VekIsNoEndorsementKey,
            "snp.chain",
        ),
        (
            "ask-no-authority",
            |k| k.authorities = Authorities::AskSaysNot,
            "snp.chain",
        ),
        (
            "ask-authority-unsaid",
            |k| k.authorities = Authorities::AskDoesNotSay,
            "snp.chain",
        ),
        (
            "sha256",
            |k| k.algorithm = Algorithm::PssSha256,
            "snp.chain",
        ),
        ("ask-expired", |k| k.ask_dates = Dates::Expired, "snp.chain"),
        (
            "ask-early",
            |k| k.ask_dates = Dates::NotYetValid,
            "snp.chain",
        ),
        ("vek-expired", |k| k.vek_dates = Dates::Expired, "snp.chain"),
        (
            "vek-early",
            |k| k.vek_dates = Dates::NotYetValid,
            "snp.chain",
        ),
        (
            "another-chip",
            |k| k.claims = Claims::AnotherChip,
            "snp.vek.hwid",
        ),
        (
            "no-hardware-id",
            |k| k.claims = Claims::NoHardwareId,
            "snp.vek.hwid",
        ),
        (
            "short-hardware-id",
            |k| k.claims = Claims::ShortHardwareId,
            "snp.chain",
        ),
        (
            "unknown-product",
            |k| k.claims = Claims::UnknownProduct,
            "snp.chain",
        ),
        ("no-product", |k| k.claims = Claims::NoProduct, "snp.chain"),
        (
            "no-microcode",
            |k| k.claims = Claims::NoMicrocodeVersion,
            "snp.chain",
        ),
        (
            "negative-version",
            |k| k.claims = Claims::NegativeVersion,
            "snp.chain",
        ),
        (
            "padded-version",
            |k| k.claims = Claims::PaddedVersion,
            "snp.chain",
        ),
        (
            "another-curve",
            |k| k.claims = Claims::AnotherCurve,
            "snp.chain",
        ),
        (
            "report-forged",
            |k| k.report_signer = ReportSigner::Impostor,
            "snp.report.signature",
        ),
    ];
    for (name, bend, failing) in bent {
        let mut knobs = milan();
        bend(&mut knobs);
        Made { knobs, ..made() }.add(
            kit,
            name,
            "one thing about keys is not as it should be",
            rejected(&[failing]),
        );
    }
    for (name, field) in [
        ("high-byte-r", SignatureField::HighByteOfR),
        ("high-byte-s", SignatureField::HighByteOfS),
        ("reserved-byte", SignatureField::ReservedByte),
        ("big-endian", SignatureField::BigEndian),
    ] {
        Made {
            knobs: Knobs {
                signature_field: field,
                ..milan()
            },
            ..made()
        }
        .add(
            kit,
            &format!("signature-{name}"),
            "the signature written in another way",
            rejected(&["snp.report.signature"]),
        );
    }
    let crl = |dates, revoked, signer| Knobs {
        crl: CrlKnobs {
            dates,
            revoked,
            signer,
        },
        ..milan()
    };
    for (name, knobs, ok) in [
        (
            "good",
            crl(Dates::Current, Revoked::AnotherSerial, CrlSigner::Ark),
            true,
        ),
        (
            "empty",
            crl(Dates::Current, Revoked::Nothing, CrlSigner::Ark),
            true,
        ),
        (
            "expired",
            crl(Dates::Expired, Revoked::Nothing, CrlSigner::Ark),
            false,
        ),
        (
            "early",
            crl(Dates::NotYetValid, Revoked::Nothing, CrlSigner::Ark),
            false,
        ),
        (
            "revokes-ask",
            crl(Dates::Current, Revoked::Ask, CrlSigner::Ark),
            false,
        ),
        (
            "forged",
            crl(Dates::Current, Revoked::Nothing, CrlSigner::Impostor),
            false,
        ),
        (
            "by-ask",
            crl(Dates::Current, Revoked::Nothing, CrlSigner::Ask),
            false,
        ),
    ] {
        let expected = if ok {
            accepted()
        } else {
            rejected(&["snp.crl"])
        };
        Made {
            knobs,
            crl: true,
            ..made()
        }
        .add(
            kit,
            &format!("crl-{name}"),
            "a revocation list goes along",
            expected,
        );
    }
    Made {
        policy: format!("{ANY}require_crl = true\n"),
        ..made()
    }
    .add(
        kit,
        "crl-required",
        "no revocation list where one is required",
        missing(&["snp.crl"]),
    );
    Made {
        certificates: false,
        ..made()
    }
    .add(
        kit,
        "no-certificates",
        "no certificates at all",
        missing(&["snp.certificates"]),
    );
}
