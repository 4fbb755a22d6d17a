//! Cases of SNP reports whose guest is not the one that the policy accepts.

use attest_core::to_hex;
use vendors::amd::MockAmd;
use vendors::amd::report::{GuestReport, POLICY, POLICY_DEBUG, POLICY_MIGRATION_AGENT};

use super::{ANY, Made, made, milan};
use crate::case::Expected;
use crate::kit::{Kit, accepted, missing, rejected};
use crate::{NOW, SEED};

pub(super) fn add(kit: &mut Kit) {
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
    without_author_key(kit);
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

/// A list that holds 48 zero bytes demands that there was no author key.
fn without_author_key(kit: &mut Kit) {
    type Says = fn(&mut GuestReport);
    let guests: [(&str, &str, Says, Expected); 4] = [
        ("none", "no author key", |_| {}, accepted()),
        (
            "one",
            "an author key where none is wanted",
            with_keys,
            rejected(&["snp.author_key"]),
        ),
        (
            "zero",
            "an author key, all zero",
            |g| g.key_info |= 1,
            missing(&["snp.author_key"]),
        ),
        (
            "digest-alone",
            "a digest although no author key is said to be there",
            |g| g.author_key_digest = [0x22; 48],
            missing(&["snp.author_key"]),
        ),
    ];
    for (name, what, says, expected) in guests {
        Made {
            policy: pinning("author_key_digest", &[0; 48]),
            says,
            ..made()
        }
        .add(kit, &format!("no-author-key-{name}"), what, expected);
    }
    Made {
        policy: pinning("author_key_digest", &[0x22; 48]),
        ..made()
    }
    .add(
        kit,
        "author-key-wanted-and-absent",
        "no author key where one is wanted",
        missing(&["snp.author_key"]),
    );
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
