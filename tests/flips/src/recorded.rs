//! Evidence of real machines, where the recordings are present: each that is accepted unchanged.

use std::path::Path;

use anyhow::Context;
use attest_core::{Collateral, Roots, SnpCollateral, UnixTime};
use evidence::index::{Index, Vector};

use crate::{Subject, nvidia, snp, tdx};

/// Flips in each part of a recording: every bit of its signed report would be hours.
const OF_EACH_PART: usize = 400;

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
    Ok(all
        .into_iter()
        .filter(|subject| (subject.accepted)(&subject.bytes))
        .collect())
}

fn of_tdx(vectors: &Path, vector: &Vector) -> anyhow::Result<Vec<Subject>> {
    let Some(case) = vector.tdx_cases()?.into_iter().next() else {
        return Ok(Vec::new());
    };
    let quote = vector.evidence(vectors)?;
    let collateral: Collateral = evidence::tdx::collateral(vectors, &case)?;
    let now = UnixTime::parse_rfc3339(&case.at).context("at")?;
    let make = || {
        let ground = tdx::Ground {
            roots: Roots::vendor(),
            policy: tdx::lenient(),
            collateral: collateral.clone(),
            now,
        };
        (quote.clone(), ground)
    };
    let name = format!("{}: ", vector.id);
    let kind = "TDX quote, recorded";
    Ok(tdx::of_quote(kind, &name, Some(OF_EACH_PART), make))
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
    Ok(case.subjects("SNP, recorded", &name, Some(OF_EACH_PART)))
}

fn of_nvidia(vectors: &Path, vector: &Vector) -> anyhow::Result<Vec<Subject>> {
    let Some(at) = vector.other_cases()?.into_iter().find_map(|case| case.at) else {
        return Ok(Vec::new());
    };
    let Some(device) = evidence::nvidia::devices(vectors, vector)?
        .into_iter()
        .next()
    else {
        return Ok(Vec::new());
    };
    let case = nvidia::Case {
        device,
        collateral: Collateral::default(),
        roots: Roots::vendor(),
        policy: nvidia::policy(
            "rims = \"optional\"\nocsp = \"off\"\ntopology = \"off\"\nallow_missing_fwid = true\n",
        ),
        now: UnixTime::parse_rfc3339(&at).context("at")?,
    };
    let name = format!("{}: ", vector.id);
    Ok(vec![case.evidence(
        "NVIDIA, recorded",
        &name,
        Some(OF_EACH_PART),
    )])
}
