//! P-384 keys that follow from the seed, and signatures that follow from key and message. The mock
//! NVIDIA uses them too.
//!
//! The arithmetic is slow where it is not optimised. Since nothing here is random, keys and the
//! signatures of certificates are made once per process and kept.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{LazyLock, Mutex, PoisonError};

use p384::ecdsa::signature::Signer;
use p384::ecdsa::{Signature, SigningKey};
use ring::digest::{SHA384, digest};

use crate::intel::keys::derive_bytes;

type Kept<K, V> = LazyLock<Mutex<HashMap<K, V>>>;

static KEYS: Kept<([u8; 32], String), P384Key> = LazyLock::new(Mutex::default);
static SIGNATURES: Kept<([u8; 97], Vec<u8>), Vec<u8>> = LazyLock::new(Mutex::default);

fn kept<K: Hash + Eq + Clone, V: Clone>(all: &Kept<K, V>, key: &K, make: impl FnOnce() -> V) -> V {
    let lock = || all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = lock().get(key) {
        return found.clone();
    }
    let made = make();
    lock().insert(key.clone(), made.clone());
    made
}

/// One P-384 key.
#[derive(Clone)]
pub struct P384Key(SigningKey);

impl P384Key {
    /// The key that `seed` holds under `label`.
    pub fn derive(seed: &[u8; 32], label: &str) -> Self {
        let make = || {
            (0u32..)
                .find_map(|attempt| {
                    let material = derive_bytes(seed, &format!("p384/{label}/{attempt}"));
                    SigningKey::from_slice(digest(&SHA384, &material).as_ref())
                        .ok()
                        .map(Self)
                })
                .expect("nearly every 48-byte string is a P-384 scalar")
        };
        kept(&KEYS, &(*seed, label.to_owned()), make)
    }

    /// The uncompressed point, 97 bytes.
    pub fn public_point(&self) -> [u8; 97] {
        let point = self.0.verifying_key().to_encoded_point(false);
        point
            .as_bytes()
            .try_into()
            .expect("an uncompressed P-384 point is 97 bytes")
    }

    /// `r || s`, big-endian, over SHA-384 of the message.
    pub fn sign_raw(&self, message: &[u8]) -> [u8; 96] {
        let signature: Signature = self.0.sign(message);
        let mut bytes = [0; 96];
        bytes.copy_from_slice(&signature.to_bytes());
        bytes
    }

    /// The same signature as an `Ecdsa-Sig-Value`, as certificates carry it.
    pub fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        kept(
            &SIGNATURES,
            &(self.public_point(), message.to_vec()),
            || {
                let signature: Signature = self.0.sign(message);
                signature.to_der().as_bytes().to_vec()
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_signatures_follow_from_the_seed() {
        let (one, again) = (
            P384Key::derive(&[1; 32], "a"),
            P384Key::derive(&[1; 32], "a"),
        );
        assert_eq!(one.public_point(), again.public_point());
        assert_eq!(one.sign_raw(b"message"), again.sign_raw(b"message"));
        assert_ne!(
            one.public_point(),
            P384Key::derive(&[1; 32], "b").public_point()
        );
        assert_ne!(
            one.public_point(),
            P384Key::derive(&[2; 32], "a").public_point()
        );
    }
}
