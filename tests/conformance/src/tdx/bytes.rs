//! Cases of TDX quotes that are truncated, altered or followed by other bytes.

use super::{Made, any, made};
use crate::kit::{Kit, accepted, expected, rejected};

pub(super) fn add(kit: &mut Kit) {
    let malformed = || expected("malformed", &["tdx.quote.format"]);
    type Bend = fn(&mut Vec<u8>);
    let cuts: [(&str, Bend); 7] = [
        ("nothing", |q| q.clear()),
        ("header", |q| q.truncate(40)),
        ("body", |q| q.truncate(400)),
        ("signature", |q| q.truncate(660)),
        ("key", |q| q.truncate(720)),
        ("qe-report", |q| q.truncate(900)),
        ("last-byte", |q| q.truncate(q.len() - 1)),
    ];
    for (name, bend) in cuts {
        Made { bend, ..made() }.add(
            kit,
            &format!("cut-{name}"),
            "a quote cut short",
            malformed(),
        );
    }
    let flips: [(&str, Bend, &[&str]); 8] = [
        ("user-data", |q| q[28] ^= 1, &["tdx.quote.signature"]),
        ("mrtd", |q| q[48 + 136] ^= 1, &["tdx.quote.signature"]),
        (
            "report-data",
            |q| q[48 + 520] ^= 1,
            &["tdx.quote.signature"],
        ),
        ("quote-signature", |q| q[636] ^= 1, &["tdx.quote.signature"]),
        (
            "attestation-key",
            |q| q[700] ^= 1,
            &["tdx.qe.attestation_key"],
        ),
        ("qe-report", |q| q[770] ^= 1, &["tdx.qe.report_signature"]),
        (
            "qe-report-signature",
            |q| q[770 + 384] ^= 1,
            &["tdx.qe.report_signature"],
        ),
        (
            "qe-auth-data",
            |q| q[770 + 384 + 64 + 2] ^= 1,
            &["tdx.qe.attestation_key"],
        ),
    ];
    for (name, bend, failing) in flips {
        Made {
            bend,
            policy: any(""),
            ..made()
        }
        .add(
            kit,
            &format!("flip-{name}"),
            "one bit of the quote is another",
            rejected(failing),
        );
    }
    for (policy, zeros, others) in [
        ("any", true, true),
        ("zero", true, false),
        ("none", false, false),
    ] {
        for (what, bend, accept) in [
            (
                "zeros",
                (|q: &mut Vec<u8>| q.extend([0; 16])) as Bend,
                zeros,
            ),
            ("bytes", |q: &mut Vec<u8>| q.extend([7; 16]), others),
        ] {
            let expected = if accept {
                accepted()
            } else {
                rejected(&["tdx.quote.trailing_bytes"])
            };
            Made {
                bend,
                policy: any(&format!("trailing_bytes = \"{policy}\"\n")),
                ..made()
            }
            .add(
                kit,
                &format!("trailing-{what}-{policy}"),
                "bytes after the quote",
                expected,
            );
        }
    }
    let wrong: [(&str, &str, Bend); 2] = [
        ("version-3", "a version that is no TDX quote's", |q| {
            q[0] = 3
        }),
        ("version-9", "a version that nobody knows", |q| q[0] = 9),
    ];
    for (name, says, bend) in wrong {
        Made { bend, ..made() }.add(kit, name, says, malformed());
    }
    Made {
        bend: |q| q[4..8].fill(0),
        ..made()
    }
    .add(
        kit,
        "sgx",
        "a quote that says it is of an SGX enclave",
        expected("unsupported", &["tdx.tee_type"]),
    );
}
