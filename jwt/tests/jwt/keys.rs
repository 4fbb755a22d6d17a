//! Key sets: which keys are used, and for which tokens.

use serde_json::{Value, json};

use crate::support::{check, claims, set};
use jwt::{KeySet, KeySetError, TokenError};
use vendors::identity::{TokenKey, base64url, key_set};

fn parse(keys: &[Value]) -> Result<KeySet, KeySetError> {
    KeySet::parse(key_set(keys).as_bytes())
}

/// The entry with one member replaced; `null` removes it.
fn changed(entry: &Value, name: &str, value: Value) -> Value {
    let mut entry = entry.clone();
    match value {
        Value::Null => drop(entry.as_object_mut().expect("an object").remove(name)),
        value => entry[name] = value,
    }
    entry
}

#[test]
fn rejects_what_is_not_a_key_set() {
    let key = TokenKey::p256("a").jwk();
    for bad in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[],"keys":[]}"#,
    ] {
        assert_eq!(
            KeySet::parse(bad.as_bytes()),
            Err(KeySetError::Shape),
            "{bad}"
        );
    }
    assert_eq!(parse(&[]), Err(KeySetError::NoUsableKey));
    assert_eq!(parse(&[json!(1), json!({})]), Err(KeySetError::NoUsableKey));
    assert!(parse(&vec![key.clone(); 64]).is_ok());
    assert_eq!(parse(&vec![key; 65]), Err(KeySetError::TooMany));
}

#[test]
fn keys_that_cannot_be_used_are_ignored() {
    let (rsa, curve, edwards) = (
        TokenKey::rsa("r").jwk(),
        TokenKey::p256("p").jwk(),
        TokenKey::ed25519("e").jwk(),
    );
    let modulus = |bits: usize| {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes[0] >>= (8 - bits % 8) % 8;
        json!(base64url(&bytes))
    };
    let unusable = [
        json!({ "kty": "oct", "k": "c2VjcmV0" }),
        json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": edwards["x"] }),
        changed(&rsa, "use", json!("enc")),
        changed(&rsa, "key_ops", json!(["encrypt"])),
        changed(&rsa, "key_ops", json!("verify")),
        changed(&rsa, "alg", json!("ES256")),
        changed(&rsa, "alg", json!("RSA-OAEP")),
        changed(&rsa, "kid", json!(7)),
        changed(&rsa, "d", json!("AQAB")),
        changed(&rsa, "n", modulus(2047)),
        changed(&rsa, "n", modulus(8193)),
        changed(
            &rsa,
            "n",
            json!(format!("AA{}", rsa["n"].as_str().expect("n"))),
        ),
        changed(
            &rsa,
            "n",
            json!(format!("{}=", rsa["n"].as_str().expect("n"))),
        ),
        changed(&rsa, "n", Value::Null),
        changed(&rsa, "e", json!("AQ")),
        changed(&rsa, "e", json!("AA")),
        changed(&rsa, "e", json!("Ag")),
        changed(&rsa, "e", json!("AQAAAAAB")),
        changed(&curve, "crv", json!("P-384")),
        changed(&curve, "x", json!("AA")),
        changed(&curve, "y", Value::Null),
        changed(&edwards, "x", json!("AA")),
        changed(&edwards, "d", json!("AA")),
    ];
    for entry in &unusable {
        assert_eq!(
            parse(std::slice::from_ref(entry)),
            Err(KeySetError::NoUsableKey),
            "{entry}"
        );
    }
    let with_one = [&unusable[..], &[curve]].concat();
    let keys = parse(&with_one).expect("one key can be used");
    assert_eq!(keys.counts(), (1, unusable.len()));
    for bits in [2048, 8192] {
        assert!(
            parse(&[changed(&rsa, "n", modulus(bits))]).is_ok(),
            "{bits}"
        );
    }
}

#[test]
fn the_key_is_the_one_that_the_token_names() {
    let (old, new) = (TokenKey::p256("old"), TokenKey::p256("new"));
    let both = set(&[&old, &new]);
    assert!(check(&old.token("ES256", &claims()), &both).is_ok());
    assert!(check(&new.token("ES256", &claims()), &both).is_ok());
    let rotated = check(&old.token("ES256", &claims()), &set(&[&new])).err();
    assert_eq!(rotated, Some(TokenError::KeyUnknown));
    let header = json!({ "alg": "ES256", "kid": "new" });
    let swapped = old.token_with(&header, &claims());
    assert_eq!(check(&swapped, &both).err(), Some(TokenError::Signature));
}

#[test]
fn a_token_that_names_no_key_needs_a_set_with_one_for_its_algorithm() {
    let (curve, other, rsa) = (TokenKey::p256("a"), TokenKey::p256("b"), TokenKey::rsa("r"));
    let token = curve.token_with(&json!({ "alg": "ES256" }), &claims());
    assert!(check(&token, &set(&[&curve])).is_ok());
    assert!(check(&token, &set(&[&rsa, &curve])).is_ok());
    let two = check(&token, &set(&[&curve, &other])).err();
    assert_eq!(two, Some(TokenError::KeyUnknown));
    assert_eq!(
        check(&token, &set(&[&rsa])).err(),
        Some(TokenError::KeyUnknown)
    );
    // A set may have keys without an id; a token that names one does not mean them.
    let nameless = parse(&[changed(&curve.jwk(), "kid", Value::Null)]).expect("a key set");
    assert!(check(&token, &nameless).is_ok());
    let named = curve.token("ES256", &claims());
    assert_eq!(check(&named, &nameless).err(), Some(TokenError::KeyUnknown));
}

#[test]
fn an_id_that_is_repeated_means_the_one_key_for_the_algorithm() {
    let (curve, rsa, other) = (
        TokenKey::p256("same"),
        TokenKey::rsa("same"),
        TokenKey::p256("x"),
    );
    let keys = set(&[&curve, &rsa]);
    assert!(check(&curve.token("ES256", &claims()), &keys).is_ok());
    assert!(check(&rsa.token("RS256", &claims()), &keys).is_ok());
    let ambiguous = parse(&[curve.jwk(), changed(&other.jwk(), "kid", json!("same"))]);
    let refused = check(
        &curve.token("ES256", &claims()),
        &ambiguous.expect("a key set"),
    )
    .err();
    assert_eq!(refused, Some(TokenError::KeyUnknown));
}

#[test]
fn a_point_that_is_not_on_the_curve_verifies_nothing() {
    let key = TokenKey::p256("a");
    let keys = parse(&[changed(&key.jwk(), "y", key.jwk()["x"].clone())]).expect("32 bytes");
    let refused = check(&key.token("ES256", &claims()), &keys).err();
    assert_eq!(refused, Some(TokenError::Signature));
}
