//! SNP reports.

use attest_core::to_hex;
use testkit::amd::MockAmd;
use testkit::amd::knobs::{
    Algorithm, Authorities, Claims, CrlKnobs, CrlSigner, Dates, EndorsementKey, Knobs, Names,
    Processor, ReportSigner, Revoked, SignatureField, Signer,
};
use testkit::amd::report::{GuestReport, POLICY, POLICY_DEBUG, POLICY_MIGRATION_AGENT};

use attest_core::{Collateral, SnpCollateral};

use crate::case::{Expected, Kind};
use crate::kit::{Judged, Kit, accepted, evidence, expected, missing, rejected};
use crate::{NOW, SEED};

const ANY: &str = "name = \"any\"\n[snp]\nmeasurements = \"any\"\nkeys = [\"VCEK\", \"VLEK\"]\n";

fn milan() -> Knobs {
    Knobs::healthy(Processor::Milan, EndorsementKey::Vcek)
}

fn root_of(processor: Processor) -> &'static str {
    match processor {
        Processor::Milan => "amd-ark-milan",
        Processor::Genoa | Processor::Siena => "amd-ark-genoa",
        Processor::Turin => "amd-ark-turin",
    }
}

struct Made {
    knobs: Knobs,
    policy: String,
    says: fn(&mut GuestReport),
    bend: fn(&mut Vec<u8>),
    crl: bool,
    certificates: bool,
}

fn made() -> Made {
    Made {
        knobs: milan(),
        policy: ANY.into(),
        says: |_| {},
        bend: |_| {},
        crl: false,
        certificates: true,
    }
}

impl Made {
    fn add(self, kit: &mut Kit, name: &str, says: &str, expected: Expected) {
        let processor = self.knobs.processor;
        let rightful = MockAmd::healthy(&SEED, processor, self.knobs.key, NOW.secs());
        let machine = MockAmd::new(&SEED, self.knobs, NOW.secs());
        let mut guest = machine.guest("conformance", &[0x3c; 64]);
        (self.says)(&mut guest);
        let mut report = machine.sign(&guest);
        (self.bend)(&mut report);
        let collateral = Collateral::from(SnpCollateral {
            vek: machine.vek().to_vec(),
            ask: machine.ask().to_vec(),
            crl: self.crl.then(|| machine.crl()),
        });
        let judged = Judged {
            collateral: self.certificates.then_some(&collateral),
            roots: &[(root_of(processor), rightful.ark())],
            ..Judged::now(
                Kind::SnpReport,
                &self.policy,
                vec![evidence("sev_snp", &report, None)],
            )
        };
        kit.add(&format!("snp-{name}"), says, judged, expected);
    }
}

pub fn add(kit: &mut Kit) {
    for processor in Processor::ALL {
        for key in [EndorsementKey::Vcek, EndorsementKey::Vlek] {
            let name = format!("good-{processor:?}-{key:?}").to_lowercase();
            Made {
                knobs: Knobs::healthy(processor, key),
                ..made()
            }
            .add(kit, &name, "a healthy machine", accepted());
        }
    }
    chains(kit);
    guests(kit);
    bytes(kit);
}

fn chains(kit: &mut Kit) {
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

fn guests(kit: &mut Kit) {
    type Says = fn(&mut GuestReport);
    let bent: [(&str, &str, Says, &str, Expected); 12] = [
        (
            "debug",
            "a guest that the host can debug",
            |g| g.policy = POLICY | POLICY_DEBUG,
            "",
            rejected(&["snp.policy.debug"]),
        ),
        (
            "debug-allowed",
            "the same where that is allowed",
            |g| g.policy = POLICY | POLICY_DEBUG,
            "allow_debug = true\n",
            accepted(),
        ),
        (
            "migration",
            "a guest that can be migrated",
            |g| g.policy = POLICY | POLICY_MIGRATION_AGENT,
            "",
            rejected(&["snp.policy.migration_agent"]),
        ),
        (
            "migration-allowed",
            "the same where that is allowed",
            |g| g.policy = POLICY | POLICY_MIGRATION_AGENT,
            "allow_migration_agent = true\n",
            accepted(),
        ),
        (
            "reserved-zero",
            "the bit that must be one is zero",
            |g| g.policy = 0x1_0000,
            "",
            rejected(&["snp.policy.reserved"]),
        ),
        (
            "smt",
            "multithreading where it is not wanted",
            |_| {},
            "allow_smt = false\n",
            rejected(&["snp.policy.smt"]),
        ),
        (
            "no-smt",
            "no multithreading where it is not wanted",
            |g| (g.policy, g.platform_info) = (0x2_0000, 0x24),
            "allow_smt = false\n",
            accepted(),
        ),
        (
            "vmpl-1",
            "asked for from a lower privilege level",
            |g| g.vmpl = 1,
            "",
            rejected(&["snp.vmpl"]),
        ),
        (
            "vmpl-1-allowed",
            "the same where that is allowed",
            |g| g.vmpl = 1,
            "max_vmpl = 1\n",
            accepted(),
        ),
        (
            "tcb-not-certified",
            "firmware that AMD did not certify for this key",
            |g| g.reported_tcb[7] ^= 1,
            "",
            rejected(&["snp.vek.tcb"]),
        ),
        (
            "another-cpu",
            "a processor of another product than the certificate's",
            |g| g.cpuid = [0x19, 0x11, 1],
            "",
            rejected(&["snp.product"]),
        ),
        (
            "version-5",
            "a report of version 5",
            |g| g.version = 5,
            "",
            accepted(),
        ),
    ];
    for (name, says, report, more, expected) in bent {
        Made {
            says: report,
            policy: format!("{ANY}{more}"),
            ..made()
        }
        .add(kit, name, says, expected);
    }
    let machine = MockAmd::new(&SEED, milan(), NOW.secs());
    let mut guest = machine.guest("conformance", &[0x3c; 64]);
    with_keys(&mut guest);
    for (key, value, check) in [
        ("measurement", guest.measurement.to_vec(), "snp.measurement"),
        ("host_data", guest.host_data.to_vec(), "snp.host_data"),
        ("id_key_digest", guest.id_key_digest.to_vec(), "snp.id_key"),
        (
            "author_key_digest",
            guest.author_key_digest.to_vec(),
            "snp.author_key",
        ),
        ("chip_id", guest.chip_id.to_vec(), "snp.chip_id"),
    ] {
        let other: Vec<u8> = value.iter().map(|byte| byte ^ 1).collect();
        for (suffix, value, expected) in [
            ("", value, accepted()),
            ("-other", other, rejected(&[check])),
        ] {
            Made {
                policy: pinning(key, &value),
                says: with_keys,
                ..made()
            }
            .add(
                kit,
                &format!("pin-{}{suffix}", key.replace('_', "-")),
                "a listed value, or another",
                expected,
            );
        }
    }
}

/// A guest whose id block was signed, by a certified key.
fn with_keys(guest: &mut GuestReport) {
    guest.id_key_digest = [0x11; 48];
    guest.author_key_digest = [0x22; 48];
    guest.key_info |= 1;
}

fn pinning(key: &str, value: &[u8]) -> String {
    let value = to_hex(value);
    match key {
        "measurement" => format!("name = \"pinned\"\n[snp]\nmeasurement = [\"{value}\"]\n"),
        _ => format!("{ANY}{key} = [\"{value}\"]\n"),
    }
}

fn bytes(kit: &mut Kit) {
    type Bend = fn(&mut Vec<u8>);
    let cuts: [(&str, Bend); 4] = [
        ("nothing", |r| r.clear()),
        ("short", |r| r.truncate(r.len() - 1)),
        ("long", |r| r.push(0)),
        ("version-1", |r| r[0] = 1),
    ];
    for (name, bend) in cuts {
        Made { bend, ..made() }.add(
            kit,
            &format!("format-{name}"),
            "no report",
            expected("malformed", &["snp.report.format"]),
        );
    }
    let flips: [(&str, Bend); 4] = [
        ("report-data", |r| r[0x50] ^= 1),
        ("measurement", |r| r[0x90] ^= 1),
        ("host-data", |r| r[0xC0] ^= 1),
        ("signature", |r| r[0x2A0] ^= 1),
    ];
    for (name, bend) in flips {
        Made { bend, ..made() }.add(
            kit,
            &format!("flip-{name}"),
            "one bit is another",
            rejected(&["snp.report.signature"]),
        );
    }
}
