//! Recorded evidence of real machines: a TDX quote, an SNP report, a GPU with its manifests.

use std::path::Path;

use anyhow::{Context, Result};

use crate::bare::SignatureCheck;
use crate::{Limits, Subject, accepted, signed};
use attest_core::nvidia::UnverifiedDevice;
use attest_core::{
    Appraiser, AttestationPolicy, Collateral, EndorsementCache, NvidiaCollateral, Roots,
    SnpCollateral, TdxCollateral, UnixTime,
};
use evidence::index::{Index, RimFile, Vector};
use evidence::nvidia;

const AMD_GENOA_ROOT: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../attest/core/src/roots/amd-ark-genoa.der"
));

pub fn subjects(vectors: &Path, index: &Index) -> Result<Vec<Subject>> {
    Ok(vec![
        quote(vectors, index)?,
        snp_report(vectors, index)?,
        gpu(vectors, index)?,
    ])
}

/// What a judgement depends on besides the evidence, owned.
#[derive(Clone)]
pub struct Grounds {
    pub roots: Roots,
    pub policy: AttestationPolicy,
    pub collateral: Option<Collateral>,
    pub now: UnixTime,
}

impl Grounds {
    pub fn appraiser(&self) -> Appraiser<'_> {
        Appraiser {
            roots: &self.roots,
            policy: &self.policy,
            collateral: self.collateral.as_ref(),
            now: self.now,
        }
    }
}

fn grounds(section: &str, collateral: Collateral, at: &str) -> Result<Grounds> {
    Ok(Grounds {
        roots: Roots::vendor(),
        policy: AttestationPolicy::parse(&format!("name = \"bench\"\n{section}"))?,
        collateral: Some(collateral),
        now: UnixTime::parse_rfc3339(at)?,
    })
}

fn recording<'a>(index: &'a Index, id: &str) -> Result<&'a Vector> {
    let mut vectors = index.vectors.iter();
    vectors
        .find(|vector| vector.id == id)
        .with_context(|| format!("no recording {id}"))
}

fn quote(vectors: &Path, index: &Index) -> Result<Subject> {
    let vector = recording(index, "tdx-v4-phala-b0c06f")?;
    let quote = vector.evidence(vectors)?;
    let case = vector.tdx_cases()?.remove(0);
    let text = std::fs::read(vectors.join(&case.collateral))?;
    let collateral = TdxCollateral::parse(&text)?;
    let [warm_checks, endorsements] = signed::quote(&quote, &collateral)?;
    let collateral = Collateral::from(collateral);
    let warm = grounds("[tdx]\nmeasurements = \"any\"\n", collateral, &case.at)?;
    let (cold, again) = (warm.clone(), quote.clone());
    let mut known = EndorsementCache::default();
    Ok(Subject {
        name: "TDX quote",
        limits: Limits {
            cold: 1.15,
            warm: 1.4,
        },
        cold: Box::new(move || {
            let read = Collateral::from(TdxCollateral::parse(&text).expect("collateral"));
            let appraiser = Appraiser {
                collateral: Some(&read),
                ..cold.appraiser()
            };
            accepted(&appraiser.quote(&quote));
        }),
        cold_checks: [warm_checks.clone(), endorsements].concat(),
        warm: Box::new(move || {
            let appraiser = warm.appraiser();
            accepted(&appraiser.quote_with_cache(&again, &mut known));
        }),
        warm_checks,
    })
}

fn snp_report(vectors: &Path, index: &Index) -> Result<Subject> {
    let vector = recording(index, "snp-v3-genoa-vcek-ms")?;
    let report = vector.evidence(vectors)?;
    let file = |role| vector.file(vectors, role)?.context("a certificate");
    let (vek, ask) = (file("vek")?, file("ask")?);
    let warm_checks = vec![signed::amd_report(&report, &vek)?];
    let endorsements = signed::amd_chain(AMD_GENOA_ROOT, &ask, &vek)?;
    let collateral = Collateral::from(SnpCollateral {
        vek,
        ask,
        crl: None,
    });
    let at = vector.other_cases()?.remove(0).at.context("a time")?;
    let warm = grounds("[snp]\nmeasurements = \"any\"\n", collateral, &at)?;
    let (cold, again) = (warm.clone(), report.clone());
    let mut known = EndorsementCache::default();
    Ok(Subject {
        name: "SNP report",
        limits: Limits {
            cold: 1.15,
            warm: 1.2,
        },
        cold: Box::new(move || accepted(&cold.appraiser().snp_report(&report, &[]))),
        cold_checks: [warm_checks.clone(), endorsements].concat(),
        warm: Box::new(move || {
            let appraiser = warm.appraiser();
            accepted(&appraiser.snp_report_with_cache(&again, &[], &mut known));
        }),
        warm_checks,
    })
}

/// What devices sign, and then what endorses them: their chains and the manifests.
pub fn device_checks(
    devices: &[UnverifiedDevice],
    manifests: &[Vec<u8>],
) -> Result<[Vec<SignatureCheck>; 2]> {
    let reports: Result<Vec<_>> = devices.iter().map(signed::device_report).collect();
    let mut endorsements = Vec::new();
    for device in devices {
        endorsements.extend(signed::device_chain(device)?);
    }
    for xml in manifests {
        endorsements.extend(signed::manifest(xml)?);
    }
    Ok([reports?, endorsements])
}

fn gpu(vectors: &Path, index: &Index) -> Result<Subject> {
    let vector = recording(index, "gpu-hopper-545-full")?;
    let devices = nvidia::devices(vectors, vector)?;
    let case = vector.other_cases()?.remove(1);
    let read = |rim: &RimFile| Ok(std::fs::read(vectors.join(&rim.file))?);
    let rims: Vec<Vec<u8>> = case.rims.values().map(read).collect::<Result<_>>()?;
    let [warm_checks, endorsements] = device_checks(&devices, &rims)?;
    let collateral = Collateral::from(NvidiaCollateral { rims, ocsp: vec![] });
    let at = case.at.context("a time")?;
    let warm = grounds("[nvidia]\nallow_missing_fwid = true\n", collateral, &at)?;
    let (cold, again) = (warm.clone(), devices.clone());
    let mut known = EndorsementCache::default();
    Ok(Subject {
        name: "GPU with two manifests",
        limits: Limits {
            cold: 1.2,
            warm: 1.2,
        },
        cold: Box::new(move || accepted(&cold.appraiser().devices(&devices, None))),
        cold_checks: [warm_checks.clone(), endorsements].concat(),
        warm: Box::new(move || {
            let appraiser = warm.appraiser();
            accepted(&appraiser.devices_with_cache(&again, None, &mut known));
        }),
        warm_checks,
    })
}
