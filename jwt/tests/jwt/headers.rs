//! The form of a token, and what its header may say.

use serde_json::{Value, json};

use crate::support::{check, claims, set};
use jwt::{MAX_TOKEN, TokenError};
use vendors::identity::{TokenKey, base64url};

fn with_header(header: Value) -> Option<TokenError> {
    let key = TokenKey::p256("p256");
    check(&key.token_with(&header, &claims()), &set(&[&key])).err()
}

#[test]
fn accepts_the_types_of_a_jwt_and_of_an_access_token() {
    for kind in ["JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT"] {
        let header = json!({ "alg": "ES256", "kid": "p256", "typ": kind });
        assert_eq!(with_header(header), None, "{kind}");
    }
    assert_eq!(with_header(json!({ "alg": "ES256", "kid": "p256" })), None);
}

#[test]
fn rejects_other_types_and_extensions() {
    for kind in [
        json!("logout+jwt"),
        json!("dpop+jwt"),
        json!("secevent+jwt"),
        json!(""),
        json!(1),
        json!(null),
    ] {
        let header = json!({ "alg": "ES256", "kid": "p256", "typ": kind });
        assert_eq!(with_header(header), Some(TokenError::Header), "{kind}");
    }
    for critical in [json!(["exp"]), json!(["b64"]), json!([]), json!(null)] {
        let header = json!({ "alg": "ES256", "kid": "p256", "crit": critical });
        assert_eq!(with_header(header), Some(TokenError::Header), "{critical}");
    }
    let unencoded = json!({ "alg": "ES256", "kid": "p256", "b64": true });
    assert_eq!(with_header(unencoded), Some(TokenError::Header));
}

#[test]
fn keys_in_the_header_are_not_used() {
    let (ours, attackers) = (TokenKey::p256("p256"), TokenKey::p256("attacker"));
    let mut header = json!({
        "alg": "ES256",
        "kid": "p256",
        "jwk": attackers.jwk(),
        "jku": "https://attacker.example.com/jwks",
        "x5u": "https://attacker.example.com/certificate",
    });
    let forged = attackers.token_with(&header, &claims());
    assert_eq!(
        check(&forged, &set(&[&ours])).err(),
        Some(TokenError::Signature)
    );
    header["kid"] = json!("attacker");
    let forged = attackers.token_with(&header, &claims());
    assert_eq!(
        check(&forged, &set(&[&ours])).err(),
        Some(TokenError::KeyUnknown)
    );
    // They do no harm to a token that is signed by the issuer.
    header["kid"] = json!("p256");
    assert!(check(&ours.token_with(&header, &claims()), &set(&[&ours])).is_ok());
}

#[test]
fn rejects_what_is_not_a_token() {
    let key = TokenKey::p256("p256");
    let keys = set(&[&key]);
    let good = key.token("ES256", &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("three parts")
    };
    let repeated = |member: &str| base64url(format!("{{{member},{member}}}").as_bytes());
    let header_twice = repeated(r#""alg":"ES256""#);
    let claim_twice = repeated(r#""iss":"https://id.example.com/realm""#);
    for bad in [
        String::new(),
        "..".to_owned(),
        "a.b".to_owned(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}.{}", &signature[1..]).replace('_', "/"),
        format!("{header_twice}.{payload}.{signature}"),
        format!("{header}.{claim_twice}.{signature}"),
        format!("{}.{payload}.{signature}", base64url(b"[]")),
        format!("{header}.{}.{signature}", base64url(b"\"claims\"")),
        format!("{}.{payload}.{signature}", base64url(br#"{"kid":"p256"}"#)),
        format!("{}.{payload}.{signature}", base64url(br#"{"alg":1}"#)),
        format!(
            "{}.{payload}.{signature}",
            base64url(br#"{"alg":"ES256","kid":1}"#)
        ),
        format!("{good}{}", "A".repeat(MAX_TOKEN)),
    ] {
        let refused = check(&bad, &keys).err();
        let expected = [Some(TokenError::Malformed), Some(TokenError::Signature)];
        assert!(expected.contains(&refused), "{refused:?} of {bad}");
    }
}
