//! Signature checks by themselves, with ring: what no verification can do without.

use std::fmt;
use std::hint::black_box;

use anyhow::{Context, Result};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair, RSA_PSS_2048_8192_SHA384, UnparsedPublicKey, VerificationAlgorithm,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::micros;

/// About what is signed: a certificate, a report.
const MESSAGE: [u8; 1000] = [7; 1000];

const ARK: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../attest/core/src/roots/amd-ark-milan.der"
));

/// How many checks of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    pub p256: usize,
    pub p384: usize,
    pub rsa: usize,
    pub ed25519: usize,
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.p256, "P-256"),
            (self.p384, "P-384"),
            (self.rsa, "RSA-4096"),
            (self.ed25519, "Ed25519"),
        ];
        let parts: Vec<String> = kinds
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, kind)| format!("{count} {kind}"))
            .collect();
        f.write_str(&parts.join(" + "))
    }
}

/// Microseconds for one check of each kind.
pub struct Each {
    pub p256: f64,
    pub p384: f64,
    pub rsa: f64,
    pub ed25519: f64,
}

struct Signed {
    key: UnparsedPublicKey<Vec<u8>>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    fn check(&self) {
        let verified = self.key.verify(&self.message, &self.signature);
        black_box(verified).expect("it is genuine");
    }
}

/// One genuine signature of each kind.
pub struct Bare {
    p256: Signed,
    p384: Signed,
    rsa: Signed,
    ed25519: Signed,
}

impl Bare {
    pub fn new() -> Result<Self> {
        Ok(Self {
            p256: ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_FIXED)?,
            p384: ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED)?,
            rsa: amd_root()?,
            ed25519: ed25519()?,
        })
    }

    pub fn check(&self, needs: &Needs) {
        let all = [
            (needs.p256, &self.p256),
            (needs.p384, &self.p384),
            (needs.rsa, &self.rsa),
            (needs.ed25519, &self.ed25519),
        ];
        for (count, signed) in all {
            (0..count).for_each(|_| signed.check());
        }
    }

    pub fn cost_of_each(&self) -> Each {
        Each {
            p256: micros(|| self.p256.check()),
            p384: micros(|| self.p384.check()),
            rsa: micros(|| self.rsa.check()),
            ed25519: micros(|| self.ed25519.check()),
        }
    }
}

fn unusable(_: ring::error::Unspecified) -> anyhow::Error {
    anyhow::anyhow!("no key")
}

fn ecdsa(
    signing: &'static EcdsaSigningAlgorithm,
    verifying: &'static dyn VerificationAlgorithm,
) -> Result<Signed> {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(signing, &random).map_err(unusable)?;
    let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8.as_ref(), &random)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let signature = pair.sign(&random, &MESSAGE).map_err(unusable)?;
    Ok(Signed {
        key: UnparsedPublicKey::new(verifying, pair.public_key().as_ref().to_vec()),
        message: MESSAGE.to_vec(),
        signature: signature.as_ref().to_vec(),
    })
}

fn ed25519() -> Result<Signed> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32])
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Signed {
        key: UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref().to_vec()),
        message: MESSAGE.to_vec(),
        signature: pair.sign(&MESSAGE).as_ref().to_vec(),
    })
}

/// ring makes no RSA signatures quickly; AMD's root has one over itself.
fn amd_root() -> Result<Signed> {
    let (_, root) = X509Certificate::from_der(ARK).context("AMD's root")?;
    let key = root.public_key().subject_public_key.data.to_vec();
    Ok(Signed {
        key: UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA384, key),
        message: root.tbs_certificate.as_ref().to_vec(),
        signature: root.signature_value.data.to_vec(),
    })
}
