//! P-384 keys that follow from the seed, and signatures that follow from key and message. The mock
//! NVIDIA uses them too.

use p384::ecdsa::signature::Signer;
use p384::ecdsa::{Signature, SigningKey};
use ring::digest::{SHA384, digest};

use crate::intel::keys::derive_bytes;

/// One P-384 key.
#[derive(Clone)]
pub struct P384Key(SigningKey);

impl P384Key {
    /// The key that `seed` holds under `label`.
    pub fn derive(seed: &[u8; 32], label: &str) -> Self {
        (0u32..)
            .find_map(|attempt| {
                let material = derive_bytes(seed, &format!("p384/{label}/{attempt}"));
                SigningKey::from_slice(digest(&SHA384, &material).as_ref())
                    .ok()
                    .map(Self)
            })
            .expect("nearly every 48-byte string is a P-384 scalar")
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
        signature
            .to_bytes()
            .as_slice()
            .try_into()
            .expect("a P-384 signature is 96 bytes")
    }

    /// The same signature as an `Ecdsa-Sig-Value`, as certificates carry it.
    pub fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.0.sign(message);
        signature.to_der().as_bytes().to_vec()
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
