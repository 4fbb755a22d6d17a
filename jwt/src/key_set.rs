//! An issuer's keys (JWK set, RFC 7517), and signatures by them.

use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Map, Value};

use crate::Algorithm;
use crate::base64url;
use crate::json::parse_object;

/// More keys than any issuer publishes.
const MAX_KEYS: usize = 64;
const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 8192;
/// The largest public exponent that ring accepts has 33 bits.
const MAX_EXPONENT_BYTES: usize = 5;

/// The keys of a set that can be used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
    ignored: usize,
}

/// Why a text is not a usable key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    #[error("not an object with a list of keys")]
    Shape,
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
    #[error("no key that can be used")]
    NoUsableKey,
}

/// Why no key of a set was chosen for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// None has the id, or no single one is meant.
    Unknown,
    /// The key with the id is not for the algorithm.
    Algorithm,
}

/// One public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, if it names one.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// Uncompressed points.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl KeySet {
    /// Reads a set. Keys that cannot be used are ignored, as RFC 7517 §5 wants: of other types, for other purposes, of
    /// refused sizes.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        let set = parse_object(bytes).ok_or(KeySetError::Shape)?;
        let Some(Value::Array(entries)) = set.get("keys") else {
            return Err(KeySetError::Shape);
        };
        if entries.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let keys: Vec<Key> = entries
            .iter()
            .filter_map(|entry| Key::read(entry.as_object()?))
            .collect();
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey);
        }
        let ignored = entries.len() - keys.len();
        Ok(Self { keys, ignored })
    }

    /// The number of keys that can be used, and of those that cannot.
    pub fn counts(&self) -> (usize, usize) {
        (self.keys.len(), self.ignored)
    }

    /// The one key for a token. Without an id in the token, the set must have exactly one key for the algorithm.
    pub(crate) fn choose(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, NoKey> {
        let named: Vec<&Key> = self
            .keys
            .iter()
            .filter(|key| id.is_none() || key.id.as_deref() == id)
            .collect();
        let mut fitting = named.iter().filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (None, _) if id.is_some() && !named.is_empty() => Err(NoKey::Algorithm),
            _ => Err(NoKey::Unknown),
        }
    }
}

impl Key {
    fn read(entry: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        // A private key that was published is known to anybody.
        if ["d", "k"].iter().any(|secret| entry.contains_key(*secret)) || !is_for_signatures(entry)
        {
            return None;
        }
        let algorithm = match entry.get("alg") {
            None => None,
            Some(named) => Some(Algorithm::parse(named.as_str()?)?),
        };
        let id = match entry.get("kid") {
            None => None,
            Some(id) => Some(id.as_str()?.to_owned()),
        };
        let bytes = |name: &str| text(name).and_then(base64url::decode);
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => rsa(bytes("n")?, bytes("e")?)?,
            ("EC", Some("P-256")) => Material::P256(point(bytes("x")?, bytes("y")?, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(bytes("x")?, bytes("y")?, 48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
            _ => return None,
        };
        let key = Self {
            id,
            algorithm,
            material,
        };
        // A key that names an algorithm of another type of key is for nothing.
        key.algorithm
            .is_none_or(|named| key.fits(named))
            .then_some(key)
    }

    /// Whether signatures of this algorithm may be checked with it.
    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        let by_type = match self.material {
            Material::Rsa { .. } => matches!(
                algorithm,
                A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512
            ),
            Material::P256(_) => algorithm == A::Es256,
            Material::P384(_) => algorithm == A::Es384,
            Material::Ed25519(_) => algorithm == A::EdDsa,
        };
        by_type && self.algorithm.is_none_or(|named| named == algorithm)
    }

    /// Whether the signature over `signed` is by this key, which [`KeySet::choose`] chose for the algorithm.
    pub(crate) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        let checked = match &self.material {
            Material::Rsa { n, e } => {
                let Some(parameters) = rsa_parameters(algorithm) else {
                    return false;
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature)
            }
            Material::P256(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(signed, signature)
            }
            Material::P384(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point)
                    .verify(signed, signature)
            }
            Material::Ed25519(key) => {
                UnparsedPublicKey::new(&signature::ED25519, key).verify(signed, signature)
            }
        };
        checked.is_ok()
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
    })
}

/// By `use` and `key_ops`, where the entry has them.
fn is_for_signatures(entry: &Map<String, Value>) -> bool {
    let by_use = entry.get("use").is_none_or(|purpose| purpose == "sig");
    let by_operations = entry.get("key_ops").is_none_or(|operations| {
        let listed = operations.as_array();
        listed.is_some_and(|listed| listed.iter().any(|one| one == "verify"))
    });
    by_use && by_operations
}

fn rsa(n: Vec<u8>, e: Vec<u8>) -> Option<Material> {
    let leading = n.first().filter(|first| **first != 0)?;
    let bits = n.len() * 8 - leading.leading_zeros() as usize;
    let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    let exponent = e.first().is_some_and(|first| *first != 0)
        && e.len() <= MAX_EXPONENT_BYTES
        && odd(&e)
        && e != [1];
    let usable = (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) && odd(&n) && exponent;
    usable.then_some(Material::Rsa { n, e })
}

fn point(x: Vec<u8>, y: Vec<u8>, len: usize) -> Option<Vec<u8>> {
    if x.len() != len || y.len() != len {
        return None;
    }
    let mut point = Vec::with_capacity(1 + 2 * len);
    point.push(0x04);
    point.extend_from_slice(&x);
    point.extend_from_slice(&y);
    Some(point)
}

/// Known answers of the standards. Their payloads lack claims that are required here, so only signatures are checked.
#[cfg(test)]
mod tests {
    use super::*;

    fn verifies(key: &str, algorithm: Algorithm, token: &str) -> bool {
        let keys = KeySet::parse(format!("{{\"keys\":[{key}]}}").as_bytes()).expect("a key set");
        let (signed, signature) = token.rsplit_once('.').expect("a signature");
        let signature = base64url::decode(signature).expect("base64url");
        let key = keys.choose(None, algorithm).expect("one key");
        let signed = signed.as_bytes();
        assert!(!key.verifies(algorithm, &signed[1..], &signature));
        key.verifies(algorithm, signed, &signature)
    }

    const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

    #[test]
    fn rfc_7515_appendix_a_2_is_rs256() {
        let key = r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#;
        let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let token = format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}.{signature}");
        assert!(verifies(key, Algorithm::Rs256, &token));
    }

    #[test]
    fn rfc_7515_appendix_a_3_is_es256() {
        let key = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
        let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let token = format!("eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.{signature}");
        assert!(verifies(key, Algorithm::Es256, &token));
    }

    #[test]
    fn rfc_8037_appendix_a_4_is_eddsa() {
        let key =
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert!(verifies(key, Algorithm::EdDsa, token));
    }
}
