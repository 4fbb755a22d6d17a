//! What a policy wants of machine, firmware and image.

use attest_core::to_hex;
use vendors::amd::MockAmd;

use super::{ANY, Made, made, milan};
use crate::kit::{Kit, accepted, rejected};
use crate::{NOW, SEED};

pub(super) fn add(kit: &mut Kit) {
    let wanted: [(&str, &str, &str, &[&str]); 8] = [
        (
            "product-listed",
            "a listed product",
            "products = [\"Milan\"]\n",
            &[],
        ),
        (
            "product-unlisted",
            "a product the policy does not list",
            "products = [\"Genoa\", \"Turin\"]\n",
            &["snp.product.accepted"],
        ),
        (
            "platform-required",
            "a feature the platform has not switched on",
            "require_platform = [\"ciphertext_hiding\"]\n",
            &["snp.platform_info"],
        ),
        (
            "tcb-at-the-floor",
            "firmware at the policy's floor",
            "min_tcb = { milan = { snp = 1 } }\n",
            &[],
        ),
        (
            "tcb-snp-too-low",
            "firmware below the policy's floor",
            "min_tcb = { milan = { snp = 255 } }\n",
            &["snp.tcb.min"],
        ),
        (
            "tcb-microcode-too-low",
            "microcode below the policy's floor",
            "min_tcb = { milan = { microcode = 255 } }\n",
            &["snp.tcb.min"],
        ),
        (
            "tcb-bootloader-too-low",
            "a boot loader below the policy's floor",
            "min_tcb = { milan = { bootloader = 255 } }\n",
            &["snp.tcb.min"],
        ),
        (
            "tcb-of-another-product",
            "no floor for this product where there are floors",
            "min_tcb = { turin = { snp = 1 } }\n",
            &["snp.tcb.min"],
        ),
    ];
    for (name, says, more, failing) in wanted {
        let expected = match failing {
            [] => accepted(),
            failing => rejected(failing),
        };
        Made {
            policy: format!("{ANY}{more}"),
            ..made()
        }
        .add(kit, name, says, expected);
    }
    Made {
        policy: "name = \"loaded\"\n[snp]\nmeasurements = \"any\"\nkeys = [\"VLEK\"]\n".into(),
        ..made()
    }
    .add(
        kit,
        "key-of-a-chip",
        "a chip's own key where only loaded ones are accepted",
        rejected(&["snp.vek.accepted"]),
    );
    images(kit);
    id_block(kit);
    Made {
        policy: format!("{ANY}max_crl_age = \"72h\"\n"),
        crl: true,
        ..made()
    }
    .add(kit, "crl-age", "a revocation list of yesterday", accepted());
    Made {
        policy: format!("{ANY}max_crl_age = \"1h\"\n"),
        crl: true,
        ..made()
    }
    .add(
        kit,
        "crl-age-over",
        "a revocation list of yesterday where it may be an hour old",
        rejected(&["snp.crl.age"]),
    );
}

/// What the guest's owner signed beside the measurement, and what the guest's policy demands.
fn id_block(kit: &mut Kit) {
    let (ours, other) = ("00".repeat(16), "77".repeat(16));
    let asked: [(&str, String, String, &str); 4] = [
        (
            "family-id",
            format!("family_id = [\"{ours}\"]"),
            format!("family_id = [\"{other}\"]"),
            "snp.family_id",
        ),
        (
            "image-id",
            format!("image_id = [\"{ours}\"]"),
            format!("image_id = [\"{other}\"]"),
            "snp.image_id",
        ),
        (
            "guest-svn",
            "min_guest_svn = 1".into(),
            "min_guest_svn = 2".into(),
            "snp.guest_svn",
        ),
        (
            "demands",
            String::new(),
            "require_guest_policy = [\"single_socket\"]".into(),
            "snp.policy.demands",
        ),
    ];
    for (name, met, unmet, check) in asked {
        for (suffix, more, expected) in
            [("", met, accepted()), ("-unmet", unmet, rejected(&[check]))]
        {
            Made {
                policy: format!("{ANY}{more}\n"),
                ..made()
            }
            .add(
                kit,
                &format!("{name}{suffix}"),
                "what the policy asks of the guest's owner, met or not",
                expected,
            );
        }
    }
}

fn images(kit: &mut Kit) {
    let guest = MockAmd::new(&SEED, milan(), NOW.secs()).guest("conformance", &[0x3c; 64]);
    let of = |host_data: &[u8]| {
        format!(
            "name = \"images\"\n[snp]\n[[snp.image]]\nname = \"one\"\nmeasurement = [\"{}\"]\n\
             host_data = [\"{}\"]\n",
            to_hex(&guest.measurement),
            to_hex(host_data)
        )
    };
    for (name, says, policy, expected) in [
        (
            "image",
            "measurement and host data are those of one image",
            of(&guest.host_data),
            accepted(),
        ),
        (
            "image-other",
            "the measurement of an image with other host data",
            of(&[0x77; 32]),
            rejected(&["snp.image"]),
        ),
    ] {
        Made { policy, ..made() }.add(kit, name, says, expected);
    }
}
