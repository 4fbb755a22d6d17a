//! Recorded evidence of real machines: a TDX quote, an SNP report, a GPU with its manifests.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use attest_core::{
    Appraiser, AttestationPolicy, Collateral, Endorsements, NvidiaCollateral, Roots, SnpCollateral,
    TdxCollateral, UnixTime,
};
use dcap_qvl::config::{Config, CryptoProvider};
use dcap_qvl::crypto::RingCrypto;
use dcap_qvl::signature::DerSigEncoder;
use dcap_qvl::verify::QuoteVerifier;
use dcap_qvl::x509::X509CertBackend;
use evidence::index::{Index, RimFile, Vector};
use evidence::nvidia;
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

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

/// Nothing of a TDX quote is kept between judgements: its verification library takes collateral as
/// it is written. Warm differs from cold by the reading of the collateral's JSON alone.
fn quote(vectors: &Path, index: &Index) -> Result<Subject> {
    let vector = recording(index, "tdx-v4-phala-b0c06f")?;
    let quote = vector.evidence(vectors)?;
    let case = vector.tdx_cases()?.remove(0);
    let text = std::fs::read(vectors.join(&case.collateral))?;
    let collateral = Collateral::from(TdxCollateral::parse(&text)?);
    let warm = grounds("[tdx]\nmeasurements = \"any\"\n", collateral, &case.at)?;
    let theirs: dcap_qvl::QuoteCollateralV3 = serde_json::from_slice(&text)?;
    let needs = Needs {
        p256: count_checks(QuoteVerifier::new_prod(), &quote, &theirs, warm.now)?,
        ..Needs::default()
    };
    let (cold, now) = (warm.clone(), warm.now);
    let (again, library_quote) = (quote.clone(), quote.clone());
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
        cold_needs: needs,
        warm: Box::new(move || accepted(&warm.appraiser().quote(&again))),
        warm_needs: needs,
        library: Some(Box::new(move || {
            let verified = QuoteVerifier::new_prod().verify(&library_quote, &theirs, now.secs());
            black_box(verified).expect("accepted");
        })),
    })
}

static CHECKS: AtomicUsize = AtomicUsize::new(0);
static COUNTING: Counting = Counting;

/// The library's own check, counted.
#[derive(Debug)]
struct Counting;

impl SignatureVerificationAlgorithm for Counting {
    fn verify_signature(
        &self,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        CHECKS.fetch_add(1, Ordering::Relaxed);
        RingCrypto::sig_algo().verify_signature(key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        RingCrypto::sig_algo().public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        RingCrypto::sig_algo().signature_alg_id()
    }
}

struct CountingCrypto;

impl CryptoProvider for CountingCrypto {
    fn sig_algo() -> &'static dyn SignatureVerificationAlgorithm {
        &COUNTING
    }
    fn sha256(data: &[u8]) -> [u8; 32] {
        RingCrypto::sha256(data)
    }
    fn sha384(data: &[u8]) -> [u8; 48] {
        RingCrypto::sha384(data)
    }
}

struct CountingConfig;

impl Config for CountingConfig {
    type X509 = X509CertBackend;
    type SigEncoder = DerSigEncoder;
    type Crypto = CountingCrypto;
}

/// How many signatures the library checks for one quote.
pub fn count_checks(
    verifier: QuoteVerifier,
    quote: &[u8],
    collateral: &dcap_qvl::QuoteCollateralV3,
    now: UnixTime,
) -> Result<usize> {
    let before = CHECKS.load(Ordering::Relaxed);
    verifier
        .with_config::<CountingConfig>()
        .verify(quote, collateral, now.secs())?;
    Ok(CHECKS.load(Ordering::Relaxed) - before)
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
    let mut known = Endorsements::default();
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
            accepted(&appraiser.snp_report_knowing(&again, &[], &mut known));
        }),
        warm_needs: Needs {
            p384: 1,
            ..Needs::default()
        },
        library: None,
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
    let mut known = Endorsements::default();
    Ok(Subject {
        name: "GPU with two manifests",
        cold: Box::new(move || accepted(&cold.appraiser().devices(&devices, None))),
        cold_needs: Needs {
            p384: count * (DEVICE_CHAIN + 1) + of_manifests,
            ..Needs::default()
        },
        warm: Box::new(move || {
            let appraiser = warm.appraiser();
            accepted(&appraiser.devices_knowing(&again, None, &mut known));
        }),
        warm_needs: Needs {
            p384: count,
            ..Needs::default()
        },
        library: None,
    })
}
