//! Signature checks by themselves, with ring: what no verification can do without.

use std::hint::black_box;

use anyhow::Result;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, RSA_PSS_2048_8192_SHA384, UnparsedPublicKey, VerificationAlgorithm,
};

/// How something is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    P256,
    P384,
    Rsa,
    Ed25519,
}

impl Kind {
    const ALL: [Self; 4] = [Self::P256, Self::P384, Self::Rsa, Self::Ed25519];

    const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::Rsa => "RSA-4096",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// As certificates and lists are signed.
    fn in_certificates(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::P384 => &ECDSA_P384_SHA384_ASN1,
            Self::Rsa => &RSA_PSS_2048_8192_SHA384,
            Self::Ed25519 => &ED25519,
        }
    }

    /// As hardware writes its signatures: two numbers of fixed length.
    fn fixed(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED,
            Self::P384 => &ECDSA_P384_SHA384_FIXED,
            other => other.in_certificates(),
        }
    }
}

/// One signature that a verification checks: its key, the bytes that it covers, and itself.
#[derive(Clone)]
pub struct SignatureCheck {
    pub kind: Kind,
    algorithm: &'static dyn VerificationAlgorithm,
    key: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl SignatureCheck {
    pub fn in_certificate(kind: Kind, key: &[u8], message: &[u8], signature: &[u8]) -> Self {
        Self {
            kind,
            algorithm: kind.in_certificates(),
            key: key.to_vec(),
            message: message.to_vec(),
            signature: signature.to_vec(),
        }
    }

    pub fn fixed(kind: Kind, key: &[u8], message: &[u8], signature: &[u8]) -> Self {
        Self {
            algorithm: kind.fixed(),
            ..Self::in_certificate(kind, key, message, signature)
        }
    }

    pub fn run(&self) {
        let key = UnparsedPublicKey::new(self.algorithm, &self.key);
        let verified = key.verify(&self.message, &self.signature);
        black_box(verified).expect("it is genuine");
    }
}

pub fn run_all(checks: &[SignatureCheck]) {
    checks.iter().for_each(SignatureCheck::run);
}

/// `9 P-256 + 1 P-384`.
pub fn counts(checks: &[SignatureCheck]) -> String {
    let count = |kind: Kind| checks.iter().filter(|it| it.kind == kind).count();
    let parts: Vec<String> = Kind::ALL
        .into_iter()
        .filter(|kind| count(*kind) > 0)
        .map(|kind| format!("{} {}", count(kind), kind.as_str()))
        .collect();
    parts.join(" + ")
}

fn unusable(_: ring::error::Unspecified) -> anyhow::Error {
    anyhow::anyhow!("no key")
}

/// For what is signed in a form that the library does not hand out, such as a manifest's canonical
/// XML: another message of that length, by another key.
pub fn p384_over(len: usize) -> Result<SignatureCheck> {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P384_SHA384_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(unusable)?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let message = vec![7; len];
    let signature = pair.sign(&random, &message).map_err(unusable)?;
    let key = pair.public_key().as_ref();
    let check = SignatureCheck::fixed(Kind::P384, key, &message, signature.as_ref());
    Ok(check)
}

/// The same for an attested report.
pub fn ed25519_over(len: usize) -> Result<SignatureCheck> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32])
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let message = vec![7; len];
    let signature = pair.sign(&message);
    let key = pair.public_key().as_ref();
    let check = SignatureCheck::fixed(Kind::Ed25519, key, &message, signature.as_ref());
    Ok(check)
}
