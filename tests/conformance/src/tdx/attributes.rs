//! What a TD may be.

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
