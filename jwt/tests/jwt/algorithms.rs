//! Every algorithm with its keys, and no other pair.

use std::time::Duration;

use serde_json::json;

use crate::support::{ISSUER, NOW, check, claims, every_key, set};
use jwt::{Algorithm, Expected, KeySet, TokenError, UnverifiedToken, verify};
use vendors::identity::{TokenKey, base64url, hmac_token, key_set, unsigned_token};

#[test]
fn accepts_every_algorithm_with_a_key_for_it() {
    for (key, algorithms) in every_key() {
        let keys = set(&[&key]);
        for algorithm in algorithms {
            let verified = check(&key.token(algorithm, &claims()), &keys);
            let subject = verified.map(|verified| verified.subject().to_owned());
            assert_eq!(subject.as_deref(), Ok("user-1"), "{algorithm}");
        }
    }
}

#[test]
fn rejects_every_algorithm_with_a_key_for_another() {
    let named: Vec<&str> = Algorithm::ALL.map(Algorithm::as_str).to_vec();
    for (key, algorithms) in every_key() {
        let keys = set(&[&key]);
        for other in named.iter().filter(|name| !algorithms.contains(name)) {
            let refused = check(&key.token(other, &claims()), &keys).err();
            assert_eq!(
                refused,
                Some(TokenError::Algorithm),
                "{other} with {}",
                key.id
            );
        }
    }
}

#[test]
fn a_key_that_names_its_algorithm_is_for_no_other() {
    let key = TokenKey::rsa("rsa");
    let mut entry = key.jwk();
    entry["alg"] = json!("PS256");
    let keys = KeySet::parse(key_set(&[entry]).as_bytes()).expect("a key set");
    assert!(check(&key.token("PS256", &claims()), &keys).is_ok());
    for other in ["RS256", "PS384"] {
        let refused = check(&key.token(other, &claims()), &keys).err();
        assert_eq!(refused, Some(TokenError::Algorithm), "{other}");
    }
}

#[test]
fn rejects_an_algorithm_that_is_not_expected_of_the_issuer() {
    let key = TokenKey::rsa("rsa");
    let (token, audiences) = (key.token("RS256", &claims()), ["sealgate".to_owned()]);
    let with = |algorithms: &[Algorithm]| {
        let expected = Expected {
            issuer: ISSUER,
            audiences: &audiences,
            algorithms,
            clock_skew: Duration::ZERO,
        };
        let token = UnverifiedToken::parse(&token).expect("a token");
        verify(token, &set(&[&key]), &expected, NOW).err()
    };
    assert_eq!(with(&[Algorithm::Rs256]), None);
    let others = [Algorithm::Ps256, Algorithm::Es256];
    assert_eq!(with(&others), Some(TokenError::Algorithm));
    assert_eq!(with(&[]), Some(TokenError::Algorithm));
}

#[test]
fn rejects_tokens_without_a_signature() {
    let key = TokenKey::rsa("rsa");
    let none = unsigned_token(&claims());
    assert_eq!(
        check(&none, &set(&[&key])).err(),
        Some(TokenError::Algorithm)
    );
    for name in ["None", "NONE", "nOnE", ""] {
        let token = key.token(name, &claims());
        let refused = check(&token, &set(&[&key])).err();
        assert_eq!(refused, Some(TokenError::Algorithm), "{name}");
    }
    let token = key.token("RS256", &claims());
    let (signed, _) = token.rsplit_once('.').expect("a signature");
    let empty = check(&format!("{signed}."), &set(&[&key])).err();
    assert_eq!(empty, Some(TokenError::Signature));
}

#[test]
fn rejects_a_public_key_as_the_secret_of_an_hmac() {
    let key = TokenKey::rsa("rsa");
    let (entry, keys) = (key.jwk(), set(&[&key]));
    let modulus = entry["n"].as_str().expect("a modulus");
    for secret in [modulus.as_bytes(), entry.to_string().as_bytes()] {
        let forged = hmac_token("rsa", secret, &claims());
        assert_eq!(check(&forged, &keys).err(), Some(TokenError::Algorithm));
    }
    // Nor is a shared secret in a key set a key.
    let secret = json!({ "kty": "oct", "kid": "rsa", "k": base64url(b"secret") });
    let both = KeySet::parse(key_set(&[secret, entry]).as_bytes()).expect("a key set");
    let forged = hmac_token("rsa", b"secret", &claims());
    assert_eq!(check(&forged, &both).err(), Some(TokenError::Algorithm));
}
