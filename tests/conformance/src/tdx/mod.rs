//! Cases about TDX quotes.

mod attributes;
mod bytes;
mod chains;
mod demands;
mod grounds;
mod intel;
mod pins;
mod platforms;
mod statuses;

use attest_core::ReportData;
use vendors::policy::pinned_policy;
use vendors::{TdMeasurements, Vendors};

use crate::case::{Expected, Kind};
use crate::kit::{Judged, Kit, accepted, evidence};
use crate::{NOW, SEED};

fn td() -> TdMeasurements {
    TdMeasurements::named("conformance")
}

fn pinned() -> String {
    pinned_policy("conformance", &td())
}

fn any(more: &str) -> String {
    format!("name = \"any\"\n[tdx]\nmeasurements = \"any\"\n{more}")
}

struct Made {
    platform: Vendors,
    td: TdMeasurements,
    policy: String,
    bend: fn(&mut Vec<u8>),
}

fn made() -> Made {
    Made {
        platform: Vendors::from_seed(&SEED, NOW),
        td: td(),
        policy: pinned(),
        bend: |_| {},
    }
}

impl Made {
    fn add(self, kit: &mut Kit, name: &str, says: &str, expected: Expected) {
        let data = ReportData::observed([0x3c; 64]);
        let mut quote = self.platform.quote(&self.td, &data);
        (self.bend)(&mut quote);
        let collateral = self.platform.collateral();
        let judged = Judged {
            collateral: Some(&collateral),
            roots: &[("intel-root", self.platform.intel().root_der())],
            ..Judged::now(
                Kind::TdxQuote,
                &self.policy,
                vec![evidence("tdx", &quote, None)],
            )
        };
        kit.add(&format!("tdx-{name}"), says, judged, expected);
    }
}

pub fn add(kit: &mut Kit) {
    made().add(
        kit,
        "good",
        "a current platform and the pinned image",
        accepted(),
    );
    platforms::add(kit);
    statuses::add(kit);
    demands::add(kit);
    pins::add(kit);
    attributes::add(kit);
    bytes::add(kit);
    chains::add(kit);
    grounds::add(kit);
    intel::add(kit);
}
