//! P-256 keys that follow from the seed, and signatures that follow from key and message.

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use ring::digest::{Context, SHA256};

/// One key of the mock hierarchy.
#[derive(Clone)]
pub struct Key(SigningKey);

impl Key {
    /// The key that `seed` holds under `label`.
    pub fn derive(seed: &[u8; 32], label: &str) -> Self {
        (0u32..)
            .find_map(|attempt| {
                let secret = derive_bytes(seed, &format!("{label}/{attempt}"));
                SigningKey::from_slice(&secret).ok().map(Self)
            })
            .expect("nearly every 32-byte string is a P-256 scalar")
    }

    /// `x || y`, as quotes carry it.
    pub fn public_xy(&self) -> [u8; 64] {
        let point = self.0.verifying_key().to_encoded_point(false);
        point.as_bytes()[1..]
            .try_into()
            .expect("an uncompressed P-256 point is 65 bytes")
    }

    /// `r || s` over SHA-256 of the message, as quotes and collateral carry it.
    pub fn sign_raw(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.0.sign(message);
        signature.to_bytes().into()
    }

    /// The same signature as an `Ecdsa-Sig-Value`, as certificates and CRLs carry it.
    pub fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.0.sign(message);
        signature.to_der().as_bytes().to_vec()
    }
}

/// 32 bytes that follow from `seed` and `label`.
pub fn derive_bytes(seed: &[u8; 32], label: &str) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(b"software-platform/v1\0");
    context.update(seed);
    context.update(label.as_bytes());
    context
        .finish()
        .as_ref()
        .try_into()
        .expect("SHA-256 is 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_signatures_follow_from_the_seed() {
        let (one, again) = (Key::derive(&[1; 32], "root"), Key::derive(&[1; 32], "root"));
        assert_eq!(one.public_xy(), again.public_xy());
        assert_eq!(one.sign_raw(b"message"), again.sign_raw(b"message"));
        assert_ne!(one.public_xy(), Key::derive(&[1; 32], "leaf").public_xy());
        assert_ne!(one.public_xy(), Key::derive(&[2; 32], "root").public_xy());
    }
}
