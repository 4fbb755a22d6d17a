//! Ed25519 keys that sign receipts and reports (ACI/1 §7.2, RFC 8032).
//!
//! A seed comes in from outside; where it was drawn and that it never leaves the enclave is the
//! caller's business. A key that is not listed in an attested keyset proves nothing.

use std::fmt;

use ring::signature::{ED25519 as RING_ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::{ED25519, PublicKeyEntry};
use crate::encoding::to_hex;

const MAX_KEY_ID: usize = 128;

/// Why a signing key could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A key id must be 1 to 128 characters of visible ASCII.
    #[error("a key id must be 1 to 128 characters of visible ASCII")]
    KeyId,
    /// The cryptographic library refused the seed.
    #[error("the seed was refused")]
    Seed,
}

/// A private Ed25519 key and the id it goes by in the keyset.
///
/// Its `Debug` output names the id and nothing else.
pub struct SigningKey {
    key_id: String,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// The key that RFC 8032 derives from a 32-byte seed.
    pub fn from_seed(key_id: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let well_formed = (1..=MAX_KEY_ID).contains(&key_id.len())
            && key_id.bytes().all(|byte| byte.is_ascii_graphic());
        if !well_formed {
            return Err(KeyError::KeyId);
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Seed)?;
        Ok(Self {
            key_id: key_id.to_owned(),
            pair,
        })
    }

    /// The id under which the keyset lists this key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The entry for `receipt_signing_keys`.
    pub fn public_entry(&self) -> PublicKeyEntry {
        PublicKeyEntry {
            key_id: self.key_id.clone(),
            algo: ED25519.to_owned(),
            public_key: to_hex(self.pair.public_key().as_ref()),
        }
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        let public = self.pair.public_key().as_ref();
        VerifyingKey(
            public
                .try_into()
                .expect("an Ed25519 public key has 32 bytes"),
        )
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair
            .sign(message)
            .as_ref()
            .try_into()
            .expect("an Ed25519 signature has 64 bytes")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("key_id", &self.key_id)
            .field("pair", &format_args!("[sensitive]"))
            .finish()
    }
}

/// A signature that does not verify under the key it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct SignatureInvalid;

/// A public Ed25519 key. Whose it is, is for the keyset or the policy to say that lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyingKey([u8; 32]);

impl VerifyingKey {
    /// The key with these 32 bytes (RFC 8032 §5.1.5). Bytes that are no point verify nothing.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the public key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Verifies a 64-byte RFC 8032 signature over exactly `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureInvalid> {
        UnparsedPublicKey::new(&RING_ED25519, self.0)
            .verify(message, signature)
            .map_err(|_| SignatureInvalid)
    }
}
