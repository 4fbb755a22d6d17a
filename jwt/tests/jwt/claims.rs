//! The registered claims.

use serde_json::{Value, json};

use crate::support::{NOW, SKEW, check_at, claims_with, set};
use jwt::TokenError;
use vendors::identity::TokenKey;

fn with(changes: Value) -> Option<TokenError> {
    with_at(changes, NOW)
}

fn with_at(changes: Value, now: u64) -> Option<TokenError> {
    let key = TokenKey::ed25519("ed25519");
    let token = key.token("EdDSA", &claims_with(changes));
    check_at(&token, &set(&[&key]), now).err()
}

#[test]
fn rejects_a_token_without_a_required_claim_or_with_one_of_another_type() {
    for claim in ["iss", "sub", "aud", "exp"] {
        for value in [json!(null), json!({}), json!(true)] {
            let refused = with(json!({ claim: value }));
            assert_eq!(refused, Some(TokenError::Claims), "{claim} = {value}");
        }
    }
    for (claim, value) in [
        ("sub", json!("")),
        ("sub", json!("x".repeat(513))),
        ("exp", json!("1800000300")),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("nbf", json!("yesterday")),
        ("nbf", json!(-1)),
        ("iat", json!([NOW])),
        ("iat", json!(u64::MAX)),
    ] {
        let refused = with(json!({ claim: value }));
        assert_eq!(refused, Some(TokenError::Claims), "{claim} = {value}");
    }
}

#[test]
fn a_token_is_for_one_of_our_audiences() {
    for audience in [
        json!("sealgate"),
        json!("other-name"),
        json!(["x", "sealgate"]),
    ] {
        assert_eq!(with(json!({ "aud": audience })), None, "{audience}");
    }
    for audience in [
        json!("Sealgate"),
        json!("sealgate "),
        json!("x"),
        json!([]),
        json!([1, ["sealgate"]]),
    ] {
        let refused = with(json!({ "aud": audience }));
        assert_eq!(refused, Some(TokenError::Audience), "{audience}");
    }
}

#[test]
fn rejects_the_token_of_another_issuer_although_it_has_the_key() {
    for issuer in [
        "https://id.example.com",
        "https://id.example.com/realm/",
        "HTTPS://id.example.com/realm",
    ] {
        assert_eq!(
            with(json!({ "iss": issuer })),
            Some(TokenError::Issuer),
            "{issuer}"
        );
    }
}

#[test]
fn a_token_expires_after_the_clock_skew() {
    let skew = SKEW.as_secs();
    assert_eq!(with(json!({ "exp": NOW })), None);
    assert_eq!(with(json!({ "exp": NOW - skew + 1 })), None);
    assert_eq!(
        with(json!({ "exp": NOW - skew })),
        Some(TokenError::Expired)
    );
    assert_eq!(with(json!({ "exp": 0 })), Some(TokenError::Expired));
    assert_eq!(with(json!({ "exp": NOW as f64 + 0.5 })), None);
}

#[test]
fn a_token_is_valid_from_its_dates_on() {
    let skew = SKEW.as_secs();
    for claim in ["nbf", "iat"] {
        assert_eq!(with(json!({ claim: NOW + skew })), None, "{claim}");
        let future = json!({ claim: NOW + skew + 1 });
        assert_eq!(with(future), Some(TokenError::NotYetValid), "{claim}");
    }
    assert_eq!(with(json!({ "iat": null, "nbf": null })), None);
}

#[test]
fn a_clock_that_jumps_back_or_ahead_refuses_with_the_reason() {
    assert_eq!(
        with_at(json!({}), NOW - 86_400),
        Some(TokenError::NotYetValid)
    );
    assert_eq!(with_at(json!({}), NOW + 86_400), Some(TokenError::Expired));
    assert_eq!(with_at(json!({}), 0), Some(TokenError::NotYetValid));
    assert_eq!(with_at(json!({}), u64::MAX), Some(TokenError::Expired));
}

#[test]
fn values_are_found_by_the_path_of_their_claim() {
    let key = TokenKey::ed25519("ed25519");
    let token = key.token(
        "EdDSA",
        &claims_with(json!({
            "org": "acme",
            "https://example.com/groups": ["a", "b"],
            "realm_access": { "roles": ["admin"] },
            "number": 7,
        })),
    );
    let claims = check_at(&token, &set(&[&key]), NOW).expect("a valid token");
    let first = |path: &[&str], values: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let (path, values): (Vec<String>, Vec<String>) = (owned(path), owned(values));
        claims.first_of(&path, &values).map(str::to_owned)
    };
    assert_eq!(
        first(&["org"], &["globex", "acme"]).as_deref(),
        Some("acme")
    );
    let groups = ["https://example.com/groups"];
    assert_eq!(first(&groups, &["c", "b", "a"]).as_deref(), Some("b"));
    assert_eq!(
        first(&["realm_access", "roles"], &["admin"]).as_deref(),
        Some("admin")
    );
    for (path, values) in [
        (&["org"][..], &["Acme"][..]),
        (&["org"], &["ac"]),
        (&["missing"], &["acme"]),
        (&["org", "roles"], &["acme"]),
        (&["realm_access"], &["admin"]),
        (&["realm_access.roles"], &["admin"]),
        (&["number"], &["7"]),
        (&[], &["acme"]),
        (&["org"], &[]),
    ] {
        assert_eq!(first(path, values), None, "{path:?} {values:?}");
    }
}
