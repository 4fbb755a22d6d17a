//! Cases of policies that pin registers or machines.

use attest_core::to_hex;

use super::{Made, any, made, td};
use crate::kit::{Kit, accepted, rejected};

pub(super) fn add(kit: &mut Kit) {
    let it = td();
    let values: [(&str, &[u8]); 9] = [
        ("mrtd", &it.mr_td),
        ("rtmr0", &it.rtmr[0]),
        ("rtmr1", &it.rtmr[1]),
        ("rtmr2", &it.rtmr[2]),
        ("rtmr3", &it.rtmr[3]),
        ("mrseam", &it.mr_seam),
        ("mrconfigid", &it.mr_config_id),
        ("mrowner", &it.mr_owner),
        ("mrownerconfig", &it.mr_owner_config),
    ];
    for (register, value) in values {
        let partial = |value: &[u8]| {
            format!(
                "name = \"one pin\"\n[tdx]\nmeasurements = \"partial\"\n{register} = [\"{}\"]\n",
                to_hex(value)
            )
        };
        // MRSEAM alone says nothing about the image, so such a policy pins MRTD beside it.
        let beside = match register {
            "mrtd" => String::new(),
            _ => format!("mrtd = [\"{}\"]\n", to_hex(&it.mr_td)),
        };
        Made {
            policy: partial(value) + &beside,
            ..made()
        }
        .add(
            kit,
            &format!("pin-{register}"),
            "the register is the pinned one",
            accepted(),
        );
        let other: Vec<u8> = value.iter().map(|byte| byte ^ 1).collect();
        let check = format!("tdx.measurement.{register}");
        Made {
            policy: partial(&other) + &beside,
            ..made()
        }
        .add(
            kit,
            &format!("pin-{register}-other"),
            "the register is not the pinned one",
            rejected(&[&check]),
        );
    }
    let ppid = to_hex(&made().platform.intel().claims().ppid);
    let other = "00".repeat(16);
    for (name, key, ours, others, check) in [
        (
            "xfam",
            "xfam",
            "e702060000000000".to_owned(),
            "e700060000000000".to_owned(),
            "tdx.td.xfam",
        ),
        (
            "attributes",
            "td_attributes",
            "0000001000000000".to_owned(),
            "0000003000000000".to_owned(),
            "tdx.td.attributes",
        ),
        ("ppid", "ppid", ppid, other, "tdx.platform.ppid"),
    ] {
        Made {
            policy: any(&format!("{key} = [\"{ours}\"]\n")),
            ..made()
        }
        .add(
            kit,
            &format!("pin-{name}"),
            "the value is a listed one",
            accepted(),
        );
        Made {
            policy: any(&format!("{key} = [\"{others}\"]\n")),
            ..made()
        }
        .add(
            kit,
            &format!("pin-{name}-other"),
            "the value is not a listed one",
            rejected(&[check]),
        );
    }
    let image = |mrtd: &[u8]| {
        format!(
            "name = \"images\"\n[tdx]\n[[tdx.image]]\nname = \"one\"\nmrtd = [\"{}\"]\n\
             rtmr1 = [\"{}\"]\nrtmr2 = [\"{}\"]\n",
            to_hex(mrtd),
            to_hex(&it.rtmr[1]),
            to_hex(&it.rtmr[2])
        )
    };
    Made {
        policy: image(&it.mr_td),
        ..made()
    }
    .add(
        kit,
        "image",
        "all registers are those of one image",
        accepted(),
    );
    Made {
        policy: image(&[0x77; 48]),
        ..made()
    }
    .add(
        kit,
        "image-other",
        "one register is not the image's",
        rejected(&["tdx.image"]),
    );
}
