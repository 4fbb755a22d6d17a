//! One provider with a key of each kind, and how its tokens are verified.

use std::time::Duration;

use serde_json::{Value, json};

use jwt::{Algorithm, Expected, KeySet, TokenError, UnverifiedToken, VerifiedClaims, verify};
use vendors::identity::{TokenKey, key_set};

pub const NOW: u64 = 1_800_000_000;
pub const ISSUER: &str = "https://id.example.com/realm";
pub const SKEW: Duration = Duration::from_secs(30);

pub fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "user-1", "aud": "sealgate", "iat": NOW - 10, "exp": NOW + 300 })
}

/// The claims with these members instead; `null` removes one.
pub fn claims_with(changes: Value) -> Value {
    let mut all = claims();
    let members = changes.as_object().expect("an object");
    for (name, value) in members {
        match value {
            Value::Null => drop(all.as_object_mut().expect("an object").remove(name)),
            value => all[name] = value.clone(),
        }
    }
    all
}

/// A key of each kind, with every algorithm that it has.
pub fn every_key() -> Vec<(TokenKey, &'static [&'static str])> {
    const RSA: &[&str] = &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    vec![
        (TokenKey::rsa("rsa"), RSA),
        (TokenKey::rsa_3072("rsa-3072"), RSA),
        (TokenKey::p256("p256"), &["ES256"]),
        (TokenKey::p384("p384"), &["ES384"]),
        (TokenKey::ed25519("ed25519"), &["EdDSA"]),
    ]
}

pub fn set(keys: &[&TokenKey]) -> KeySet {
    let entries: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    KeySet::parse(key_set(&entries).as_bytes()).expect("a key set")
}

pub fn check(token: &str, keys: &KeySet) -> Result<VerifiedClaims, TokenError> {
    check_at(token, keys, NOW)
}

pub fn check_at(token: &str, keys: &KeySet, now: u64) -> Result<VerifiedClaims, TokenError> {
    let audiences = ["sealgate".to_owned(), "other-name".to_owned()];
    let expected = Expected {
        issuer: ISSUER,
        audiences: &audiences,
        algorithms: &Algorithm::ALL,
        clock_skew: SKEW,
    };
    verify(UnverifiedToken::parse(token)?, keys, &expected, now)
}
