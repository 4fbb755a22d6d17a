//! Reports cut and bent, wrapped and mislabelled, and tables that cannot be read.

use attest_core::to_base64;
use vendors::amd::MockAmd;
use vendors::amd::knobs::{EndorsementKey, Processor};
use vendors::amd::tables::{ASK, Hcl, VCEK, certificate_table, commitment};

use super::{ANY, Made, made};
use crate::case::Kind;
use crate::kit::{Judged, Kit, accepted, evidence, expected, rejected};
use crate::{NOW, SEED};

pub(super) fn add(kit: &mut Kit) {
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
    // Bits 2 to 4 of the key information: 1 is a VLEK.
    Made {
        says: |g| g.key_info |= 1 << 2,
        ..made()
    }
    .add(
        kit,
        "vek-of-the-other-kind",
        "a report that says a loaded key signed it, and a chip's own that did",
        rejected(&["snp.vek.kind"]),
    );
    wrapped(kit);
}

/// In Azure's wrapping, and with a certificate table beside the report.
fn wrapped(kit: &mut Kit) {
    let machine = MockAmd::healthy(&SEED, Processor::Milan, EndorsementKey::Vcek, NOW.secs());
    let claims = br#"{"vm-configuration":{"secure-boot":true}}"#;
    let report = machine.report("conformance", &commitment(claims));
    let table = machine.certificate_table();
    let block = |der: &[u8]| {
        let base64 = to_base64(der);
        format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n").into_bytes()
    };
    let (vek, ask) = (block(machine.vek()), block(machine.ask()));
    let pem = certificate_table(&[(VCEK, &vek), (ASK, &ask)]);
    let junk = certificate_table(&[(VCEK, &[&vek[..], b"x"].concat()), (ASK, &ask)]);
    let mut cut = table.clone();
    cut.truncate(table.len() - 1);
    let good = Hcl::around(claims).wrap(&report);
    let other = Hcl::around(br#"{"vm-configuration":{"secure-boot":false}}"#).wrap(&report);
    let format = &["snp.report.format"];
    for (name, says, report, table, expected) in [
        ("hcl", "a wrapped report", good.clone(), &table, accepted()),
        (
            "hcl-other-claims",
            "claims that the report does not commit to",
            other,
            &table,
            rejected(&["snp.hcl.claims"]),
        ),
        (
            "hcl-cut",
            "a wrapping cut inside the claims' header",
            good[..1240].to_vec(),
            &table,
            expected("malformed", format),
        ),
        (
            "table-cut",
            "a certificate table that points outside itself",
            report.clone(),
            &cut,
            rejected(&["snp.certificates"]),
        ),
        (
            "table-pem",
            "a certificate table in PEM",
            report.clone(),
            &pem,
            accepted(),
        ),
        (
            "table-pem-junk",
            "a certificate table in PEM, with a byte that belongs to no certificate",
            report,
            &junk,
            rejected(&["snp.certificates"]),
        ),
    ] {
        let judged = Judged {
            roots: &[("amd-ark-milan", machine.ark())],
            ..Judged::now(
                Kind::SnpReport,
                ANY,
                vec![evidence("sev_snp", &report, Some(table))],
            )
        };
        kit.add(&format!("snp-{name}"), says, judged, expected);
    }
}
