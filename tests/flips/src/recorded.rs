//! Evidence of real machines, where the recordings are present: each that is accepted unchanged.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;

use crate::{Subject, collateral, nvidia, snp, tdx};
use attest_core::{Collateral, Roots, SnpCollateral, UnixTime};
use evidence::index::{Index, Vector};

pub fn subjects(vectors: &Path) -> anyhow::Result<Vec<Subject>> {
    let index = Index::read(vectors)?;
    let mut all = Vec::new();
    for vector in &index.vectors {
        if vector.kind.starts_with("snp-report") {
            all.extend(of_snp(vectors, vector)?);
        } else if vector.kind.contains("tdx") {
            all.extend(of_tdx(vectors, vector)?);
        } else if vector.kind.contains("nvidia") || vector.kind.contains("gpu") {
            all.extend(of_nvidia(vectors, vector)?);
        }
    }
    // Recordings share certificates and collateral: once is enough.
    let mut seen = BTreeSet::new();
    all.retain(|subject| {
        (subject.accepted)(&subject.bytes) && seen.insert((subject.kind, subject.bytes.clone()))
    });
    Ok(all)
}

fn of_tdx(vectors: &Path, vector: &Vector) -> anyhow::Result<Vec<Subject>> {
    let Some(case) = vector.tdx_cases()?.into_iter().next() else {
        return Ok(Vec::new());
    };
    let quote = vector.evidence(vectors)?;
    let collateral: Collateral = evidence::tdx::collateral(vectors, &case)?;
    let now = UnixTime::parse_rfc3339(&case.at).context("at")?;
    let ground = tdx::Ground {
        roots: Roots::vendor(),
        policy: tdx::lenient(),
        collateral,
        now,
    };
    let judged = (quote, ground);
    let name = format!("{}: ", vector.id);
    let mut all = tdx::of_quote("TDX quote, recorded", &name, || judged.clone());
    all.extend(collateral::of("TDX collateral, recorded", &name, &judged));
    Ok(all)
}

fn of_snp(vectors: &Path, vector: &Vector) -> anyhow::Result<Vec<Subject>> {
    let Some(at) = vector.other_cases()?.into_iter().find_map(|case| case.at) else {
        return Ok(Vec::new());
    };
    let both = vector
        .file(vectors, "vek")?
        .zip(vector.file(vectors, "ask")?);
    let Some((vek, ask)) = both else {
        return Ok(Vec::new());
    };
    let case = snp::Case {
        report: vector.evidence(vectors)?,
        collateral: SnpCollateral {
            vek,
            ask,
            crl: None,
        },
        roots: Roots::vendor(),
        now: UnixTime::parse_rfc3339(&at).context("at")?,
    };
    let name = format!("{}: ", vector.id);
    Ok(case.subjects("SNP, recorded", &name))
}

fn of_nvidia(vectors: &Path, vector: &Vector) -> anyhow::Result<Vec<Subject>> {
    let Some(at) = vector.other_cases()?.into_iter().find_map(|case| case.at) else {
        return Ok(Vec::new());
    };
    let now = UnixTime::parse_rfc3339(&at).context("at")?;
    let mut all = Vec::new();
    for (place, device) in evidence::nvidia::devices(vectors, vector)?
        .into_iter()
        .enumerate()
    {
        let case = nvidia::Case {
            device,
            collateral: Collateral::default(),
            roots: Roots::vendor(),
            policy: nvidia::policy(
                "rims = \"optional\"\nocsp = \"off\"\ntopology = \"off\"\nallow_missing_fwid = true\n",
            ),
            now,
        };
        let name = format!("{}, {place}: ", vector.id);
        all.extend(case.of_device("NVIDIA, recorded", &name));
    }
    Ok(all)
}
