//! Cases about SNP reports.

mod bytes;
mod chains;
mod guests;
mod policies;

use attest_core::{Collateral, SnpCollateral};
use vendors::amd::MockAmd;
use vendors::amd::knobs::{EndorsementKey, Knobs, Processor};
use vendors::amd::report::GuestReport;

use crate::case::{Expected, Kind};
use crate::kit::{Judged, Kit, accepted, evidence};
use crate::{NOW, SEED};

const ANY: &str = "name = \"any\"\n[snp]\nmeasurements = \"any\"\nkeys = [\"VCEK\", \"VLEK\"]\n";

fn milan() -> Knobs {
    Knobs::healthy(Processor::Milan, EndorsementKey::Vcek)
}

fn root_of(processor: Processor) -> &'static str {
    match processor {
        Processor::Milan => "amd-ark-milan",
        Processor::Genoa | Processor::Siena => "amd-ark-genoa",
        Processor::Turin => "amd-ark-turin",
    }
}

struct Made {
    knobs: Knobs,
    policy: String,
    says: fn(&mut GuestReport),
    bend: fn(&mut Vec<u8>),
    crl: bool,
    certificates: bool,
}

fn made() -> Made {
    Made {
        knobs: milan(),
        policy: ANY.into(),
        says: |_| {},
        bend: |_| {},
        crl: false,
        certificates: true,
    }
}

impl Made {
    fn add(self, kit: &mut Kit, name: &str, says: &str, expected: Expected) {
        let processor = self.knobs.processor;
        let rightful = MockAmd::healthy(&SEED, processor, self.knobs.key, NOW.secs());
        let machine = MockAmd::new(&SEED, self.knobs, NOW.secs());
        let mut guest = machine.guest("conformance", &[0x3c; 64]);
        (self.says)(&mut guest);
        let mut report = machine.sign(&guest);
        (self.bend)(&mut report);
        let collateral = Collateral::from(SnpCollateral {
            vek: machine.vek().to_vec(),
            ask: machine.ask().to_vec(),
            crl: self.crl.then(|| machine.crl()),
        });
        let judged = Judged {
            collateral: self.certificates.then_some(&collateral),
            roots: &[(root_of(processor), rightful.ark())],
            ..Judged::now(
                Kind::SnpReport,
                &self.policy,
                vec![evidence("sev_snp", &report, None)],
            )
        };
        kit.add(&format!("snp-{name}"), says, judged, expected);
    }
}

pub fn add(kit: &mut Kit) {
    for processor in Processor::ALL {
        for key in [EndorsementKey::Vcek, EndorsementKey::Vlek] {
            let name = format!("good-{processor:?}-{key:?}").to_lowercase();
            Made {
                knobs: Knobs::healthy(processor, key),
                ..made()
            }
            .add(kit, &name, "a healthy machine", accepted());
        }
    }
    chains::add(kit);
    guests::add(kit);
    policies::add(kit);
    bytes::add(kit);
}
