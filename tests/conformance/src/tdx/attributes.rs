//! Cases of TD attributes and XFAM that a policy refuses or accepts.

use vendors::TdMeasurements;

use super::{Made, any, made, pinned, td};
use crate::kit::{Kit, accepted, rejected};

pub(super) fn add(kit: &mut Kit) {
    const SEPT: u64 = TdMeasurements::SEPT_VE_DISABLE;
    for (name, says, attributes, policy, expected) in [
        (
            "debug",
            "a TD that can be debugged",
            SEPT | TdMeasurements::DEBUG,
            pinned(),
            rejected(&["tdx.td.debug"]),
        ),
        (
            "debug-allowed",
            "a TD that can be debugged, where that is allowed",
            SEPT | TdMeasurements::DEBUG,
            any("allow_debug = true\n"),
            accepted(),
        ),
        (
            "sept-ve",
            "a TD that takes exceptions for removed pages",
            0,
            pinned(),
            rejected(&["tdx.td.sept_ve_disable"]),
        ),
        (
            "reserved-attribute",
            "a TD with a reserved attribute",
            SEPT | (1 << 32),
            pinned(),
            rejected(&["tdx.td.attributes"]),
        ),
        (
            "migratable",
            "a TD that can be migrated",
            SEPT | TdMeasurements::MIGRATABLE,
            pinned(),
            rejected(&["tdx.td.attributes"]),
        ),
    ] {
        Made {
            td: td().with_attributes(attributes),
            policy,
            ..made()
        }
        .add(kit, name, says, expected);
    }
    let with_service = td().with_service_td([0x5E; 48]);
    for (name, says, policy, expected) in [
        (
            "service-td",
            "another TD acts on this one",
            any(""),
            rejected(&["tdx.td.service_td"]),
        ),
        (
            "service-td-allowed",
            "another TD acts on this one, where that is allowed",
            any("allow_service_td = true\n"),
            accepted(),
        ),
    ] {
        Made {
            td: with_service.clone(),
            policy,
            ..made()
        }
        .add(kit, name, says, expected);
    }
    let usual = td().xfam;
    for (name, says, xfam, policy, expected) in [
        (
            "fp-off",
            "a TD without the x87 state that every TD has",
            usual & !1,
            any(""),
            rejected(&["tdx.td.xfam"]),
        ),
        (
            "sse-off",
            "a TD without the SSE state that every TD has",
            usual & !2,
            any(""),
            rejected(&["tdx.td.xfam"]),
        ),
        (
            "unknown",
            "a TD with an extended feature that no TDX module gives out",
            usual | (1 << 31),
            any(""),
            rejected(&["tdx.td.xfam"]),
        ),
        (
            "unknown-allowed",
            "the same feature, where the policy allows it",
            usual | (1 << 31),
            any("xfam_allowed = \"e7db068000000000\"\n"),
            accepted(),
        ),
        (
            "unknown-listed",
            "the same feature, where the policy lists the value",
            usual | (1 << 31),
            any("xfam = [\"e702068000000000\"]\n"),
            accepted(),
        ),
        (
            "masked",
            "the bits of the mask are the listed ones",
            usual,
            any("xfam = [\"0000060000000000\"]\nxfam_mask = \"0000060000000000\"\n"),
            accepted(),
        ),
        (
            "masked-other",
            "a bit of the mask is not the listed one",
            usual & !(1 << 18),
            any("xfam = [\"0000060000000000\"]\nxfam_mask = \"0000060000000000\"\n"),
            rejected(&["tdx.td.xfam"]),
        ),
        (
            "masked-unknown",
            "a bit outside the mask that no TD has",
            usual | (1 << 31),
            any("xfam = [\"0000060000000000\"]\nxfam_mask = \"0000060000000000\"\n"),
            rejected(&["tdx.td.xfam"]),
        ),
    ] {
        Made {
            td: TdMeasurements { xfam, ..td() },
            policy,
            ..made()
        }
        .add(kit, &format!("xfam-{name}"), says, expected);
    }
    Made {
        td: td().with_service_td([0; 48]),
        ..made()
    }
    .add(
        kit,
        "version-5",
        "a quote of version 5 of a TD of TDX 1.5, which nobody acts on",
        accepted(),
    );
}
