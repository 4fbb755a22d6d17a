//! Changed tokens.

use proptest::prelude::*;

use crate::support::{check, claims, every_key, set};
use jwt::{KeySet, UnverifiedToken};
use vendors::identity::{TokenKey, key_set};

#[test]
fn rejects_a_token_with_any_bit_flipped() {
    for (key, algorithms) in every_key() {
        let keys = set(&[&key]);
        let Some(algorithm) = algorithms.first() else {
            panic!("a key without an algorithm")
        };
        let token = key.token(algorithm, &claims());
        assert!(check(&token, &keys).is_ok());
        for place in 0..token.len() * 8 {
            let mut bytes = token.clone().into_bytes();
            bytes[place / 8] ^= 1 << (place % 8);
            // What is not UTF-8 is not a header value that reaches the parser.
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(check(&changed, &keys).is_err(), "{algorithm}: bit {place}");
            }
        }
    }
}

#[test]
fn rejects_every_truncation() {
    let key = TokenKey::ed25519("a");
    let token = key.token("EdDSA", &claims());
    for len in 0..token.len() {
        assert!(check(&token[..len], &set(&[&key])).is_err(), "{len}");
    }
}

proptest! {
    #[test]
    fn parsers_return_for_every_text(text in ".{0,300}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(UnverifiedToken::parse(&text).is_err());
        prop_assert!(KeySet::parse(&bytes).is_err());
    }

    #[test]
    fn rejects_a_token_with_a_part_of_another(cut in 0_usize..400) {
        let (ours, theirs) = (TokenKey::ed25519("a"), TokenKey::ed25519("b"));
        let (one, other) = (ours.token("EdDSA", &claims()), theirs.token("EdDSA", &claims()));
        let cut = cut.min(one.len() - 1);
        let mixed = format!("{}{}", &one[..cut], &other[cut.min(other.len())..]);
        prop_assert!(mixed == one || check(&mixed, &set(&[&ours])).is_err());
    }

    #[test]
    fn keys_of_any_bytes_verify_nothing(n in prop::collection::vec(any::<u8>(), 256..260), x in any::<[u8; 32]>(), y in any::<[u8; 32]>()) {
        use vendors::identity::base64url;
        let entries = [
            serde_json::json!({ "kty": "RSA", "kid": "rsa", "n": base64url(&n), "e": "AQAB" }),
            serde_json::json!({ "kty": "EC", "crv": "P-256", "kid": "p256", "x": base64url(&x), "y": base64url(&y) }),
        ];
        if let Ok(keys) = KeySet::parse(key_set(&entries).as_bytes()) {
            prop_assert!(check(&TokenKey::rsa("rsa").token("RS256", &claims()), &keys).is_err());
            prop_assert!(check(&TokenKey::p256("p256").token("ES256", &claims()), &keys).is_err());
        }
    }
}
