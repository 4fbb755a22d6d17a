//! Rules that span the keyset's entries, and the ways a keyset can fail its reader (ACI/1 §3.1).

use std::{collections::HashSet, fmt};

use super::{DocumentError, ED25519, Keyset, PublicKeyEntry};
use crate::{digest::SpkiDigest, encoding::parse_hex};

/// What a key is for. A key has one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyRole {
    /// Signs receipts.
    ReceiptSigning,
    /// Encrypts prompts under an extension.
    E2ee,
    /// Authenticates TLS.
    Tls,
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReceiptSigning => "receipt_signing_keys",
            Self::E2ee => "e2ee_public_keys",
            Self::Tls => "tls_public_keys",
        })
    }
}

/// Why a keyset was refused, or does not have what was asked of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysetError {
    /// Not of the fixed shape.
    #[error("keyset: {0}")]
    Document(#[from] DocumentError),
    /// Two keys of one role with the same id.
    #[error("{role} has two keys with the id {key_id:?}")]
    DuplicateKeyId {
        /// The role.
        role: KeyRole,
        /// The id.
        key_id: String,
    },
    /// One key under two roles.
    #[error("one key is listed under both {first} and {second}")]
    SharedKey {
        /// One role.
        first: KeyRole,
        /// The other.
        second: KeyRole,
    },
    /// No receipt-signing key has this id.
    #[error("no receipt-signing key has the id {key_id:?}")]
    UnknownKey {
        /// The id.
        key_id: String,
    },
    /// The key exists, but for an algorithm we do not implement.
    #[error("key {key_id:?} is for the unsupported algorithm {algo:?}")]
    UnsupportedAlgorithm {
        /// The id.
        key_id: String,
        /// The algorithm.
        algo: String,
    },
    /// No TLS entry has this key.
    #[error("the TLS key {spki} is not in the keyset")]
    TlsKeyNotListed {
        /// The key that was observed.
        spki: SpkiDigest,
    },
    /// The TLS key is listed, but for other host names.
    #[error("the TLS key is not listed for {host:?}")]
    TlsKeyNotForHost {
        /// The host connected to.
        host: String,
    },
}

pub(super) fn check(keyset: &Keyset) -> Result<(), KeysetError> {
    unique_ids(KeyRole::ReceiptSigning, &keyset.receipt_signing_keys)?;
    unique_ids(KeyRole::E2ee, &keyset.e2ee_public_keys)?;
    for entry in &keyset.receipt_signing_keys {
        if entry.algo == ED25519 {
            parse_hex::<32>(&entry.public_key).map_err(|error| DocumentError::Encoding {
                field: "receipt_signing_keys.public_key".to_owned(),
                error,
            })?;
        }
    }
    one_role_each(keyset)
}

fn unique_ids(role: KeyRole, entries: &[PublicKeyEntry]) -> Result<(), KeysetError> {
    let mut seen = HashSet::new();
    for entry in entries {
        if !seen.insert(&entry.key_id) {
            return Err(KeysetError::DuplicateKeyId {
                role,
                key_id: entry.key_id.clone(),
            });
        }
    }
    Ok(())
}

fn one_role_each(keyset: &Keyset) -> Result<(), KeysetError> {
    let shared = |first, second| Err(KeysetError::SharedKey { first, second });
    let receipt: HashSet<&str> = keys(&keyset.receipt_signing_keys).collect();
    if keys(&keyset.e2ee_public_keys).any(|key| receipt.contains(key)) {
        return shared(KeyRole::ReceiptSigning, KeyRole::E2ee);
    }
    let tls: HashSet<&SpkiDigest> = keyset
        .tls_public_keys
        .iter()
        .map(|entry| &entry.spki_sha256)
        .collect();
    let serves_tls = |key| possible_spkis(key).iter().any(|spki| tls.contains(spki));
    if keys(&keyset.receipt_signing_keys).any(serves_tls) {
        return shared(KeyRole::ReceiptSigning, KeyRole::Tls);
    }
    if keys(&keyset.e2ee_public_keys).any(serves_tls) {
        return shared(KeyRole::E2ee, KeyRole::Tls);
    }
    Ok(())
}

fn keys(entries: &[PublicKeyEntry]) -> impl Iterator<Item = &str> {
    entries.iter().map(|entry| entry.public_key.as_str())
}

/// The SPKI digests that a 32-byte key would have as Ed25519 and as X25519 (RFC 8410 §4). TLS entries
/// hold only digests, so this is how a receipt key that doubles as a TLS key is recognised.
fn possible_spkis(public_key: &str) -> Vec<SpkiDigest> {
    const ED25519_OID: u8 = 0x70;
    const X25519_OID: u8 = 0x6e;
    let Ok(key) = parse_hex::<32>(public_key) else {
        return Vec::new();
    };
    [ED25519_OID, X25519_OID]
        .into_iter()
        .map(|oid| {
            let mut der = vec![
                0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, oid, 0x03, 0x21, 0x00,
            ];
            der.extend_from_slice(&key);
            SpkiDigest::from_spki_der(&der)
        })
        .collect()
}
