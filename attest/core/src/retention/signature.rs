//! The operator's word: Ed25519 signatures over a policy's digest, k of n.
//!
//! ```text
//! message = "sealgate/retention/v1" || 0x00 || SHA-256(canonical form)        22 + 32 bytes
//! ```
//!
//! The prefix keeps a policy's signature apart from a report's or a receipt's.

use std::fmt;

use crate::aci::{SigningKey, VerifyingKey};
use crate::digest::Sha256Digest;
use crate::encoding::{parse_hex, to_hex};

const PREFIX: &[u8; 22] = b"sealgate/retention/v1\0";
const MAX_KEYS: usize = 16;
const MAX_SIGNATURES: usize = 64;

/// Who may change the policy: the operator's public keys, and how many of them it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyKeys {
    keys: Vec<[u8; 32]>,
    threshold: usize,
}

/// Why keys could not decide anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// None, or more than anybody has.
    #[error("must list 1 to {MAX_KEYS} keys")]
    Count,
    /// Not 64 lower-case hexadecimal digits.
    #[error("key {0} is not an Ed25519 public key in 64 lower-case hexadecimal digits")]
    Key(usize),
    /// One person would count twice.
    #[error("key {0} is listed twice")]
    Twice(usize),
    /// None, or more than there are.
    #[error("a threshold of {threshold} does not fit {keys} keys")]
    Threshold {
        /// How many it should take.
        threshold: usize,
        /// How many there are.
        keys: usize,
    },
}

/// Signatures that came with a policy. Nothing is known of them yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySignatures(Vec<([u8; 32], [u8; 64])>);

/// Why a text does not hold signatures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFileError {
    /// Not `ed25519 KEY SIGNATURE`.
    #[error("line {0} is not \"ed25519 KEY SIGNATURE\" in lower-case hexadecimal")]
    Line(usize),
    /// More than anybody needs.
    #[error("holds more than {MAX_SIGNATURES} signatures")]
    TooMany,
}

/// Why signatures do not carry a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is none by any of the keys.
    #[error("is not signed by any policy key")]
    Unsigned,
    /// A policy key's signature is not over this policy.
    #[error("the signature by {} is not over this policy", to_hex(.0))]
    Invalid([u8; 32]),
    /// Good ones, but too few.
    #[error("is signed by {found} of the policy keys; it takes {needed}")]
    TooFew {
        /// Different keys with a good signature.
        found: usize,
        /// What it takes.
        needed: usize,
    },
}

impl PolicyKeys {
    /// Public keys in hexadecimal, and how many of them it takes.
    pub fn new(keys: &[String], threshold: usize) -> Result<Self, KeysError> {
        if !(1..=MAX_KEYS).contains(&keys.len()) {
            return Err(KeysError::Count);
        }
        let mut read: Vec<[u8; 32]> = Vec::with_capacity(keys.len());
        for (index, text) in keys.iter().enumerate() {
            let key = parse_hex(text).map_err(|_| KeysError::Key(index + 1))?;
            if read.contains(&key) {
                return Err(KeysError::Twice(index + 1));
            }
            read.push(key);
        }
        if !(1..=read.len()).contains(&threshold) {
            return Err(KeysError::Threshold {
                threshold,
                keys: read.len(),
            });
        }
        Ok(Self {
            keys: read,
            threshold,
        })
    }

    /// In hexadecimal, in the order given.
    pub fn to_hex(&self) -> Vec<String> {
        self.keys.iter().map(|key| to_hex(key)).collect()
    }

    /// How many it takes.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// The different keys that signed, if they are enough. Signatures by others count for nothing and do no harm; a wrong one by
    /// one of ours does.
    pub fn verify(
        &self,
        policy: Sha256Digest,
        signatures: &PolicySignatures,
    ) -> Result<Vec<VerifyingKey>, SignatureError> {
        let message = message(policy);
        let mut signers = Vec::new();
        for key in &self.keys {
            let mut by_key = signatures.0.iter().filter(|(by, _)| by == key).peekable();
            if by_key.peek().is_none() {
                continue;
            }
            let verifying = VerifyingKey::from_bytes(*key);
            if by_key.any(|(_, signature)| verifying.verify(&message, signature).is_err()) {
                return Err(SignatureError::Invalid(*key));
            }
            signers.push(verifying);
        }
        match signers.len() {
            0 => Err(SignatureError::Unsigned),
            found if found < self.threshold => Err(SignatureError::TooFew {
                found,
                needed: self.threshold,
            }),
            _ => Ok(signers),
        }
    }
}

impl PolicySignatures {
    /// One signature a line, `ed25519 KEY SIGNATURE`; blank lines and lines that begin with `#` are passed over.
    pub fn parse(text: &str) -> Result<Self, SignatureFileError> {
        let mut signatures = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split(' ').collect();
            let read = match words[..] {
                ["ed25519", key, signature] => parse_hex(key).ok().zip(parse_hex(signature).ok()),
                _ => None,
            };
            signatures.push(read.ok_or(SignatureFileError::Line(index + 1))?);
        }
        if signatures.len() > MAX_SIGNATURES {
            return Err(SignatureFileError::TooMany);
        }
        Ok(Self(signatures))
    }

    /// Signs a policy, in place of an earlier signature by the same key.
    pub fn sign(&mut self, policy: Sha256Digest, key: &SigningKey) {
        let public = *key.verifying_key().as_bytes();
        self.0.retain(|(by, _)| *by != public);
        self.0.push((public, key.sign(&message(policy))));
    }

    /// Takes over signatures by keys that have none here.
    pub fn merge(&mut self, others: &Self) {
        for (key, signature) in &others.0 {
            if !self.0.iter().any(|(by, _)| by == key) {
                self.0.push((*key, *signature));
            }
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose they claim to be.
    pub fn claimed_keys(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(key, _)| to_hex(key))
    }
}

/// As the file holds them.
impl fmt::Display for PolicySignatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, signature) in &self.0 {
            writeln!(f, "ed25519 {} {}", to_hex(key), to_hex(signature))?;
        }
        Ok(())
    }
}

fn message(policy: Sha256Digest) -> Vec<u8> {
    [&PREFIX[..], policy.as_bytes()].concat()
}
