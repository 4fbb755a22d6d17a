//! Recorded evidence of real machines: a TDX quote, an SNP report, a GPU with its manifests.

use std::path::Path;

use anyhow::{Context, Result};
use attest_core::{
    Appraiser, AttestationPolicy, Collateral, EndorsementCache, NvidiaCollateral, Roots,
    SnpCollateral, TdxCollateral, UnixTime,
};
use evidence::index::{Index, RimFile, Vector};
use evidence::nvidia;

use crate::bare::Needs;
use crate::{Subject, accepted};

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

/// Signer, TCB info, QE identity, PCK authority and certificate, two revocation lists; QE report, quote.
pub const OF_A_COLD_QUOTE: usize = 9;
/// QE report, quote.
pub const OF_A_WARM_QUOTE: usize = 2;

fn quote(vectors: &Path, index: &Index) -> Result<Subject> {
    let vector = recording(index, "tdx-v4-phala-b0c06f")?;
    let quote = vector.evidence(vectors)?;
    let case = vector.tdx_cases()?.remove(0);
    let text = std::fs::read(vectors.join(&case.collateral))?;
    let collateral = Collateral::from(TdxCollateral::parse(&text)?);
    let warm = grounds("[tdx]\nmeasurements = \"any\"\n", collateral, &case.at)?;
    let p256 = |p256| Needs {
        p256,
        ..Needs::default()
    };
    let (cold, again) = (warm.clone(), quote.clone());
    let mut known = EndorsementCache::default();
    Ok(Subject {
        name: "TDX quote",
        cold: Box::new(move || {
            let read = TdxCollateral::parse(&text).expect("collateral");
            let grounds = Grounds {
                collateral: Some(read.into()),
                ..cold.clone()
            };
            accepted(&grounds.appraiser().quote(&quote));
        }),
        cold_needs: p256(OF_A_COLD_QUOTE),
        warm: Box::new(move || {
            let appraiser = warm.appraiser();
            accepted(&appraiser.quote_with_cache(&again, &mut known));
        }),
        warm_needs: p256(OF_A_WARM_QUOTE),
    })
}

fn snp_report(vectors: &Path, index: &Index) -> Result<Subject> {
    let vector = recording(index, "snp-v3-genoa-vcek-ms")?;
    let report = vector.evidence(vectors)?;
    let file = |role| vector.file(vectors, role)?.context("a certificate");
    let collateral = Collateral::from(SnpCollateral {
        vek: file("vek")?,
        ask: file("ask")?,
        crl: None,
    });
    let at = vector.other_cases()?.remove(0).at.context("a time")?;
    let warm = grounds("[snp]\nmeasurements = \"any\"\n", collateral, &at)?;
    let (cold, again) = (warm.clone(), report.clone());
    let mut known = EndorsementCache::default();
    Ok(Subject {
        name: "SNP report",
        cold: Box::new(move || accepted(&cold.appraiser().snp_report(&report, &[]))),
        // Root, signing key and endorsement key; the report.
        cold_needs: Needs {
            rsa: 3,
            p384: 1,
            ..Needs::default()
        },
        warm: Box::new(move || {
            let appraiser = warm.appraiser();
            accepted(&appraiser.snp_report_with_cache(&again, &[], &mut known));
        }),
        warm_needs: Needs {
            p384: 1,
            ..Needs::default()
        },
    })
}

/// A device's five certificates, the root's over itself among them.
pub const DEVICE_CHAIN: usize = 5;

/// A manifest's signature, and those of the certificates it brings.
pub fn checks_of_manifest(xml: &[u8]) -> usize {
    let closing = b"X509Certificate>";
    let tags = xml.windows(closing.len()).filter(|at| at == closing);
    1 + tags.count() / 2
}

fn gpu(vectors: &Path, index: &Index) -> Result<Subject> {
    let vector = recording(index, "gpu-hopper-545-full")?;
    let devices = nvidia::devices(vectors, vector)?;
    let case = vector.other_cases()?.remove(1);
    let read = |rim: &RimFile| Ok(std::fs::read(vectors.join(&rim.file))?);
    let rims: Vec<Vec<u8>> = case.rims.values().map(read).collect::<Result<_>>()?;
    let of_manifests: usize = rims.iter().map(|rim| checks_of_manifest(rim)).sum();
    let collateral = Collateral::from(NvidiaCollateral { rims, ocsp: vec![] });
    let at = case.at.context("a time")?;
    let warm = grounds("[nvidia]\nallow_missing_fwid = true\n", collateral, &at)?;
    let (cold, again, count) = (warm.clone(), devices.clone(), devices.len());
    let mut known = EndorsementCache::default();
    Ok(Subject {
        name: "GPU with two manifests",
        cold: Box::new(move || accepted(&cold.appraiser().devices(&devices, None))),
        cold_needs: Needs {
            p384: count * (DEVICE_CHAIN + 1) + of_manifests,
            ..Needs::default()
        },
        warm: Box::new(move || {
            let appraiser = warm.appraiser();
            accepted(&appraiser.devices_with_cache(&again, None, &mut known));
        }),
        warm_needs: Needs {
            p384: count,
            ..Needs::default()
        },
    })
}
