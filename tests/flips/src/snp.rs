//! SNP reports, and the certificates of the keys under AMD's root.

use attest_core::{
    Appraiser, AttestationPolicy, Collateral, Decision, EndorsementCache, RootKind, Roots,
    SnpCollateral, UnixTime, Verdict,
};
use vendors::amd::MockAmd;
use vendors::amd::knobs::{EndorsementKey, Processor};

use crate::{NOW, SEED, Subject};

/// Accepts every guest.
pub fn lenient() -> AttestationPolicy {
    AttestationPolicy::parse(
        "name = \"flips\"\n[snp]\nmeasurements = \"any\"\nkeys = [\"VCEK\", \"VLEK\"]\n\
         max_vmpl = 3\nallow_migration_agent = true\nallow_debug = true\n",
    )
    .expect("a policy")
}

/// A report with what it is judged by.
#[derive(Clone)]
pub struct Case {
    pub report: Vec<u8>,
    pub collateral: SnpCollateral,
    pub roots: Roots,
    pub now: UnixTime,
}

impl Case {
    fn judged(&self, policy: &AttestationPolicy, known: &mut EndorsementCache) -> Verdict {
        let collateral = Collateral::from(self.collateral.clone());
        Appraiser {
            roots: &self.roots,
            policy,
            collateral: Some(&collateral),
            now: self.now,
        }
        .snp_report_with_cache(&self.report, &[], known)
    }

    pub fn subjects(self, kind: &'static str, name: &str) -> Vec<Subject> {
        type Place = fn(&mut Case) -> &mut Vec<u8>;
        let mut parts: Vec<(&str, Place)> = vec![
            ("report", |case| &mut case.report),
            ("VEK certificate", |case| &mut case.collateral.vek),
            ("ASK certificate", |case| &mut case.collateral.ask),
        ];
        if self.collateral.crl.is_some() {
            parts.push(("revocation list", |case| {
                case.collateral.crl.get_or_insert_default()
            }));
        }
        parts
            .into_iter()
            .map(|(part, place)| {
                let mut original = self.clone();
                let bytes = place(&mut original).clone();
                let policy = lenient();
                // What appraising it unchanged finds authentic: nothing that a flip changes.
                let mut known = EndorsementCache::default();
                original.judged(&policy, &mut known);
                Subject::new(kind, format!("{name}{part}"), bytes, move |bytes| {
                    let mut changed = original.clone();
                    *place(&mut changed) = bytes.to_vec();
                    let verdict = changed.judged(&policy, &mut known.clone());
                    verdict.decision() == Decision::Accepted
                })
            })
            .collect()
    }
}

fn software(processor: Processor, key: EndorsementKey, root: RootKind) -> Case {
    let machine = MockAmd::healthy(&SEED, processor, key, NOW.secs());
    Case {
        report: machine.report("flips", &[0x3c; 64]),
        collateral: SnpCollateral {
            vek: machine.vek().to_vec(),
            ask: machine.ask().to_vec(),
            crl: Some(machine.crl()),
        },
        roots: Roots::none().with(root, machine.ark()).expect("a root"),
        now: NOW,
    }
}

pub fn subjects() -> Vec<Subject> {
    const KIND: &str = "SNP, software";
    let milan = software(Processor::Milan, EndorsementKey::Vcek, RootKind::AmdMilan);
    let turin = software(Processor::Turin, EndorsementKey::Vlek, RootKind::AmdTurin);
    let mut all = milan.subjects(KIND, "Milan VCEK: ");
    all.extend(turin.subjects(KIND, "Turin VLEK: "));
    all
}
