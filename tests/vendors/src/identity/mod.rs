//! A mock identity provider: keys of every kind, key sets, and tokens with any header and claims.

use p256::ecdsa::signature::Signer;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{self, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair};
use ring::{digest, hmac};
use serde_json::{Value, json};

/// A key that signs tokens.
pub struct TokenKey {
    pub id: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(Ed25519KeyPair),
}

fn seed(id: &str) -> [u8; 48] {
    let hash = digest::digest(&digest::SHA384, id.as_bytes());
    hash.as_ref().try_into().expect("48 bytes")
}

impl TokenKey {
    /// The same key for every id; its modulus has 2048 bits.
    pub fn rsa(id: &str) -> Self {
        Self::of_rsa(id, include_bytes!("keys/rsa-2048.pk8"))
    }

    pub fn rsa_3072(id: &str) -> Self {
        Self::of_rsa(id, include_bytes!("keys/rsa-3072.pk8"))
    }

    fn of_rsa(id: &str, pkcs8: &[u8]) -> Self {
        let pair = RsaKeyPair::from_pkcs8(pkcs8).expect("the test keys are RSA");
        Self::new(id, Pair::Rsa(Box::new(pair)))
    }

    /// Made from its id, as those of the other curves.
    pub fn p256(id: &str) -> Self {
        let pair = p256::ecdsa::SigningKey::from_slice(&seed(id)[..32]);
        Self::new(id, Pair::P256(pair.expect("a scalar")))
    }

    pub fn p384(id: &str) -> Self {
        let pair = p384::ecdsa::SigningKey::from_slice(&seed(id));
        Self::new(id, Pair::P384(pair.expect("a scalar")))
    }

    pub fn ed25519(id: &str) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed(id)[..32]);
        Self::new(id, Pair::Ed25519(pair.expect("a seed")))
    }

    fn new(id: &str, pair: Pair) -> Self {
        Self {
            id: id.to_owned(),
            pair,
        }
    }

    /// The key as its provider publishes it: without `alg`, for signatures.
    pub fn jwk(&self) -> Value {
        let id = &self.id;
        let curve = |name: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            json!({ "kty": "EC", "crv": name, "use": "sig", "kid": id, "x": base64url(x), "y": base64url(y) })
        };
        match &self.pair {
            Pair::Rsa(pair) => {
                let public: PublicKeyComponents<Vec<u8>> = pair.public().into();
                json!({ "kty": "RSA", "use": "sig", "kid": id, "n": base64url(&public.n), "e": base64url(&public.e) })
            }
            Pair::P256(pair) => curve(
                "P-256",
                pair.verifying_key().to_encoded_point(false).as_bytes(),
            ),
            Pair::P384(pair) => curve(
                "P-384",
                pair.verifying_key().to_encoded_point(false).as_bytes(),
            ),
            Pair::Ed25519(pair) => json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": id,
                "x": base64url(pair.public_key().as_ref()),
            }),
        }
    }

    /// A token with this algorithm in its header, and these claims.
    pub fn token(&self, algorithm: &str, claims: &Value) -> String {
        let header = json!({ "alg": algorithm, "kid": self.id, "typ": "at+jwt" });
        self.token_with(&header, claims)
    }

    /// A token with any header. An algorithm that the key does not have is written, and not used.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let signed = signing_input(header, claims);
        let signature = self.sign(
            header["alg"].as_str().unwrap_or_default(),
            signed.as_bytes(),
        );
        format!("{signed}.{}", base64url(&signature))
    }

    fn sign(&self, algorithm: &str, signed: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let encoding: &dyn RsaEncoding = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut bytes = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), signed, &mut bytes)
                    .expect("an RSA signature");
                bytes
            }
            Pair::P256(pair) => {
                let signature: p256::ecdsa::Signature = pair.sign(signed);
                signature.to_bytes().to_vec()
            }
            Pair::P384(pair) => {
                let signature: p384::ecdsa::Signature = pair.sign(signed);
                signature.to_bytes().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(signed).as_ref().to_vec(),
        }
    }
}

/// A key set of these entries.
pub fn key_set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// What a token with this header and these claims signs.
pub fn signing_input(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

/// A token "signed" with a shared secret, as an attacker makes one with a public key for secret.
pub fn hmac_token(id: &str, secret: &[u8], claims: &Value) -> String {
    let header = json!({ "alg": "HS256", "kid": id, "typ": "JWT" });
    let signed = signing_input(&header, claims);
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, secret),
        signed.as_bytes(),
    );
    format!("{signed}.{}", base64url(tag.as_ref()))
}

/// A token without a signature.
pub fn unsigned_token(claims: &Value) -> String {
    format!("{}.", signing_input(&json!({ "alg": "none" }), claims))
}

/// Base64url without padding.
pub fn base64url(bytes: &[u8]) -> String {
    let text = crate::base64::base64(bytes);
    text.trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_")
}
