//! Cases of one genuine TDX quote with other collateral, other roots, another time or another policy.

use attest_core::ReportData;

use super::{made, pinned, td};
use crate::NOW;
use crate::case::Kind;
use crate::kit::{Judged, Kit, accepted, evidence, missing, rejected};

pub(super) fn add(kit: &mut Kit) {
    let platform = made().platform;
    let quote = platform.quote(&td(), &ReportData::observed([0x3c; 64]));
    let policy = pinned();
    let collateral = platform.collateral();
    let of = || Judged {
        collateral: Some(&collateral),
        roots: &[],
        ..Judged::now(Kind::TdxQuote, &policy, vec![evidence("tdx", &quote, None)])
    };
    let ours = [("intel-root", platform.intel().root_der())];
    kit.add(
        "tdx-no-collateral",
        "nothing to judge the platform by",
        Judged {
            collateral: None,
            roots: &ours,
            ..of()
        },
        missing(&[
            "tdx.collateral.format",
            "tdx.tcb.status",
            "tdx.quote.signature",
        ]),
    );
    kit.add(
        "tdx-no-root",
        "no root for TDX",
        of(),
        rejected(&["tdx.pck.chain"]),
    );
    let day = 86_400;
    for (name, at, failing) in [
        (
            "a-month-later",
            NOW.secs() + 31 * day,
            &["tdx.collateral.dates"][..],
        ),
        (
            "a-week-before",
            NOW.secs() - 7 * day,
            &["tdx.collateral.dates"],
        ),
        ("a-week-later", NOW.secs() + 7 * day, &[]),
    ] {
        let expected = if failing.is_empty() {
            accepted()
        } else {
            rejected(failing)
        };
        kit.add(
            &format!("tdx-judged-{name}"),
            "the same evidence at another time",
            Judged {
                roots: &ours,
                at: attest_core::UnixTime::from_secs(at),
                ..of()
            },
            expected,
        );
    }
    let snp_only = "name = \"snp\"\n[snp]\nmeasurements = \"any\"\n";
    kit.add(
        "tdx-under-snp-policy",
        "a policy that wants another TEE",
        Judged {
            roots: &ours,
            policy: snp_only,
            ..of()
        },
        rejected(&["policy.tee"]),
    );
    let mut garbled = collateral.clone();
    if let Some(tdx) = &mut garbled.tdx {
        tdx.tcb_info = "no JSON".into();
    }
    kit.add(
        "tdx-collateral-garbled",
        "collateral that cannot be read",
        Judged {
            collateral: Some(&garbled),
            roots: &ours,
            ..of()
        },
        rejected(&["tdx.collateral.format"]),
    );
}
