//! TCB statuses, advisories and evaluation numbers against policies.

use vendors::Vendors;
use vendors::intel::knobs::Knobs;

use super::{Made, any, made, pinned};
use crate::kit::{Kit, accepted, rejected};
use crate::{NOW, SEED};

pub(super) fn add(kit: &mut Kit) {
    for status in [
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
    ] {
        let with = |policy: String| Made {
            platform: Vendors::with_knobs(
                &SEED,
                NOW,
                Knobs {
                    tcb_status: status.into(),
                    ..Knobs::default()
                },
            ),
            policy,
            ..made()
        };
        let low = status.to_lowercase();
        with(pinned()).add(
            kit,
            &format!("status-{low}"),
            "a status the policy does not accept",
            rejected(&["tdx.tcb.status"]),
        );
        let allowed = any(&format!("tcb_statuses = [\"UpToDate\", \"{status}\"]\n"));
        with(allowed).add(
            kit,
            &format!("status-{low}-allowed"),
            "a status the policy accepts",
            accepted(),
        );
    }
    let advisories = || {
        Vendors::with_knobs(
            &SEED,
            NOW,
            Knobs {
                advisories: vec!["INTEL-SA-00837".into()],
                ..Knobs::default()
            },
        )
    };
    Made {
        platform: advisories(),
        policy: any("denied_advisories = [\"INTEL-SA-00837\"]\n"),
        ..made()
    }
    .add(
        kit,
        "advisory-denied",
        "an advisory the policy denies",
        rejected(&["tdx.tcb.advisories"]),
    );
    Made {
        platform: advisories(),
        policy: any("denied_advisories = [\"INTEL-SA-00838\"]\n"),
        ..made()
    }
    .add(
        kit,
        "another-advisory-denied",
        "an advisory that the platform does not have is denied",
        accepted(),
    );
    for (floor, expected) in [
        (17, accepted()),
        (18, accepted()),
        (19, rejected(&["tdx.tcb.evaluation_data_number"])),
    ] {
        Made {
            policy: any(&format!("min_tcb_evaluation_data_number = {floor}\n")),
            ..made()
        }
        .add(
            kit,
            &format!("evaluation-floor-{floor}"),
            "collateral of evaluation 18 against a floor",
            expected,
        );
    }
}
