//! How long verification takes: each recorded kind of evidence judged over and over, beside what the
//! signature checks it cannot do without cost by themselves. Build it with `--release`.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use attest_core::{
    Appraiser, AttestationPolicy, Collateral, Decision, NvidiaCollateral, Roots, SnpCollateral,
    UnixTime, Verdict,
};
use evidence::index::{Index, Vector};
use evidence::{nvidia, tdx, vectors_or_skip};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    EcdsaVerificationAlgorithm, KeyPair, UnparsedPublicKey,
};

const ROUNDS: u32 = 300;

fn main() -> anyhow::Result<()> {
    let Some(vectors) = vectors_or_skip("the cost of verification") else {
        return Ok(());
    };
    let index = Index::read(&vectors)?;
    let p256 = ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_FIXED)?;
    let p384 = ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED)?;
    println!("one ECDSA P-256 verification: {p256:.0} us, one P-384: {p384:.0} us\n");

    let (ours, library, parsing) = quote(&vectors, &index)?;
    // Quote, QE report, two of the PCK chain, TCB info and QE identity with a certificate each, and
    // the two revocation lists.
    line("TDX quote", ours, 10.0 * p256, "10 P-256 checks");
    line("  its library by itself", library, 10.0 * p256, "the same");
    line("  reading its collateral", parsing, 0.0, "no checks");
    let ours = report(&vectors, &index)?;
    line(
        "SNP report",
        ours,
        p384,
        "1 P-384 check, 3 of RSA-4096 besides",
    );
    // Report and five certificates; each manifest and its four.
    let ours = gpu(&vectors, &index)?;
    line(
        "GPU with two manifests",
        ours,
        16.0 * p384,
        "16 P-384 checks",
    );
    Ok(())
}

fn line(what: &str, ours: f64, bare: f64, of: &str) {
    println!("{what:26} {ours:7.0} us   bare signatures {bare:7.0} us ({of})");
}

/// Microseconds for one call, over many.
fn time(mut call: impl FnMut()) -> f64 {
    for _ in 0..ROUNDS / 10 {
        call();
    }
    let start = Instant::now();
    for _ in 0..ROUNDS {
        call();
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
}

fn ecdsa(
    signing: &'static EcdsaSigningAlgorithm,
    verifying: &'static EcdsaVerificationAlgorithm,
) -> anyhow::Result<f64> {
    let random = SystemRandom::new();
    let unusable = |_| anyhow::anyhow!("no key");
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(signing, &random).map_err(unusable)?;
    let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8.as_ref(), &random)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let signature = pair.sign(&random, &[7; 1000]).map_err(unusable)?;
    let key = UnparsedPublicKey::new(verifying, pair.public_key().as_ref().to_vec());
    Ok(time(|| {
        black_box(key.verify(&[7; 1000], signature.as_ref())).expect("it is its own");
    }))
}

fn recording<'a>(index: &'a Index, id: &str) -> anyhow::Result<&'a Vector> {
    let mut vectors = index.vectors.iter();
    vectors
        .find(|vector| vector.id == id)
        .context("a recording")
}

fn accepted(verdict: &Verdict) {
    assert_eq!(verdict.decision(), Decision::Accepted, "{verdict}");
}

fn policy(section: &str) -> anyhow::Result<AttestationPolicy> {
    Ok(AttestationPolicy::parse(&format!(
        "name = \"bench\"\n{section}"
    ))?)
}

fn quote(vectors: &Path, index: &Index) -> anyhow::Result<(f64, f64, f64)> {
    let vector = recording(index, "tdx-v4-phala-b0c06f")?;
    let quote = vector.evidence(vectors)?;
    let case = vector.tdx_cases()?.remove(0);
    let collateral = tdx::collateral(vectors, &case)?;
    let text = std::fs::read(vectors.join(&case.collateral))?;
    let now = UnixTime::parse_rfc3339(&case.at)?;
    let (roots, policy) = (Roots::vendor(), policy("[tdx]\nmeasurements = \"any\"\n")?);
    let appraiser = Appraiser {
        roots: &roots,
        policy: &policy,
        collateral: Some(&collateral),
        now,
    };
    let ours = time(|| accepted(&appraiser.quote(&quote)));
    let theirs: dcap_qvl::QuoteCollateralV3 = serde_json::from_slice(&text)?;
    let library = time(|| {
        let verifier = dcap_qvl::verify::QuoteVerifier::new_prod();
        black_box(verifier.verify(&quote, &theirs, now.secs())).expect("accepted");
    });
    let parsing = time(|| {
        black_box(attest_core::TdxCollateral::parse(&text)).expect("collateral");
    });
    Ok((ours, library, parsing))
}

fn report(vectors: &Path, index: &Index) -> anyhow::Result<f64> {
    let vector = recording(index, "snp-v3-genoa-vcek-ms")?;
    let report = vector.evidence(vectors)?;
    let file = |role| vector.file(vectors, role)?.context("a certificate");
    let collateral = Collateral::from(SnpCollateral {
        vek: file("vek")?,
        ask: file("ask")?,
        crl: None,
    });
    let at = vector.other_cases()?.remove(0).at.context("a time")?;
    let (roots, policy) = (Roots::vendor(), policy("[snp]\nmeasurements = \"any\"\n")?);
    let appraiser = Appraiser {
        roots: &roots,
        policy: &policy,
        collateral: Some(&collateral),
        now: UnixTime::parse_rfc3339(&at)?,
    };
    Ok(time(|| accepted(&appraiser.snp_report(&report, &[]))))
}

fn gpu(vectors: &Path, index: &Index) -> anyhow::Result<f64> {
    let vector = recording(index, "gpu-hopper-545-full")?;
    let devices = nvidia::devices(vectors, vector)?;
    let case = vector.other_cases()?.remove(1);
    let read = |rim: &evidence::index::RimFile| Ok(std::fs::read(vectors.join(&rim.file))?);
    let rims = case
        .rims
        .values()
        .map(read)
        .collect::<anyhow::Result<_>>()?;
    let collateral = Collateral::from(NvidiaCollateral { rims, ocsp: vec![] });
    let (roots, policy) = (
        Roots::vendor(),
        policy("[nvidia]\nallow_missing_fwid = true\n")?,
    );
    let appraiser = Appraiser {
        roots: &roots,
        policy: &policy,
        collateral: Some(&collateral),
        now: UnixTime::parse_rfc3339(&case.at.context("a time")?)?,
    };
    Ok(time(|| accepted(&appraiser.devices(&devices, None))))
}
