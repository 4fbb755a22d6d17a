//! What both sides are shown: evidence of the software platforms, recorded evidence where it is
//! present, and changed copies of either.

use attest_core::{Collateral, ReportData, RootKind, Roots, SnpCollateral, UnixTime};
use evidence::index::Index;
use fuzz::mutate::{Numbers, mutant};
use vendors::amd::MockAmd;
use vendors::amd::knobs::{EndorsementKey, Processor};
use vendors::{TdMeasurements, Vendors};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const SEED: [u8; 32] = [5; 32];

/// A quote with what it is judged by.
pub struct Quote {
    pub name: String,
    pub bytes: Vec<u8>,
    pub collateral: Collateral,
    pub roots: Roots,
    pub at: UnixTime,
}

/// An SNP report with its certificates, and the root they lead to.
pub struct Report {
    pub name: String,
    pub bytes: Vec<u8>,
    pub certificates: SnpCollateral,
    pub ark: Vec<u8>,
    pub roots: Roots,
    pub at: UnixTime,
}

/// One of the software platform, and every recorded TDX quote.
pub fn quotes() -> anyhow::Result<Vec<Quote>> {
    let platform = Vendors::from_seed(&SEED, NOW);
    let data = ReportData::observed([0x3c; 64]);
    let mut all = vec![Quote {
        name: "software platform".into(),
        bytes: platform.quote(&TdMeasurements::named("differential"), &data),
        collateral: platform.collateral(),
        roots: platform.roots(),
        at: NOW,
    }];
    let Some(vectors) = evidence::vectors_or_skip("second opinions on recorded quotes") else {
        return Ok(all);
    };
    for vector in Index::read(&vectors)?.vectors {
        if !vector.kind.contains("tdx") {
            continue;
        }
        if let Some(case) = vector.tdx_cases()?.into_iter().next() {
            all.push(Quote {
                bytes: vector.evidence(&vectors)?,
                collateral: evidence::tdx::collateral(&vectors, &case)?,
                roots: Roots::vendor(),
                at: UnixTime::parse_rfc3339(&case.at)?,
                name: vector.id,
            });
        }
    }
    Ok(all)
}

/// One of each processor and kind of key, and every recorded report that is no wrapping.
pub fn reports() -> anyhow::Result<Vec<Report>> {
    let mut all = Vec::new();
    for processor in Processor::ALL {
        for key in [EndorsementKey::Vcek, EndorsementKey::Vlek] {
            all.push(software(processor, key)?);
        }
    }
    let Some(vectors) = evidence::vectors_or_skip("second opinions on recorded reports") else {
        return Ok(all);
    };
    for vector in Index::read(&vectors)?.vectors {
        let is_report = vector.kind.starts_with("snp-report") && !vector.kind.ends_with("hcl");
        let certificates = vector
            .file(&vectors, "vek")?
            .zip(vector.file(&vectors, "ask")?)
            .zip(vector.file(&vectors, "ark")?);
        let at = vector.other_cases()?.into_iter().find_map(|case| case.at);
        let (true, Some(((vek, ask), ark)), Some(at)) = (is_report, certificates, at) else {
            continue;
        };
        all.push(Report {
            bytes: vector.evidence(&vectors)?,
            certificates: SnpCollateral {
                vek,
                ask,
                crl: None,
            },
            ark,
            roots: Roots::vendor(),
            at: UnixTime::parse_rfc3339(&at)?,
            name: vector.id,
        });
    }
    Ok(all)
}

fn software(processor: Processor, key: EndorsementKey) -> anyhow::Result<Report> {
    let machine = MockAmd::healthy(&SEED, processor, key, NOW.secs());
    let root = match processor {
        Processor::Milan => RootKind::AmdMilan,
        Processor::Genoa | Processor::Siena => RootKind::AmdGenoa,
        Processor::Turin => RootKind::AmdTurin,
    };
    Ok(Report {
        name: format!("software {processor:?} {key:?}"),
        bytes: machine.report("differential", &[0x3c; 64]),
        certificates: SnpCollateral {
            vek: machine.vek().to_vec(),
            ask: machine.ask().to_vec(),
            crl: None,
        },
        ark: machine.ark().to_vec(),
        roots: Roots::none().with(root, machine.ark())?,
        at: NOW,
    })
}

/// `bytes` with one bit of every `stride`th byte another, then `mutants` changed more deeply.
pub fn changed(bytes: &[u8], stride: usize, mutants: usize) -> Vec<Vec<u8>> {
    let flipped = (0..bytes.len()).step_by(stride).map(|at| {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1 << (at % 8);
        changed
    });
    let mut numbers = Numbers::from(bytes.len() as u64);
    let seeds = [bytes.to_vec()];
    let deeper = (0..mutants).map(|_| mutant(&seeds, &mut numbers));
    flipped.chain(deeper).collect()
}
