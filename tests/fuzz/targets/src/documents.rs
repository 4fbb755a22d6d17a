//! JSON, TOML and the small encodings. Each has one spelling: what is accepted is what we write.

use attest_core::json::{canonicalize, parse};
use attest_core::retention::{PublishedPolicy, RetentionPolicy};
use attest_core::{
    AttestationPolicy, Collateral, Nonce, RootKind, Roots, SpkiDigest, Subject, UnixTime,
    parse_base64, parse_hex_vec, to_base64, to_hex,
};

const LIMIT: usize = 1 << 20;

/// Strict JSON, and its canonical form (RFC 8785).
pub fn json(data: &[u8]) {
    let Ok(value) = parse(data, LIMIT) else {
        return;
    };
    // Whatever we take, others take, and see the same in it.
    let theirs: serde_json::Value = serde_json::from_slice(data).expect("valid JSON");
    assert_eq!(theirs, value);
    if let Ok(canonical) = canonicalize(&value) {
        let again = parse(&canonical, LIMIT).expect("canonical JSON is strict JSON");
        assert_eq!(again, value);
        assert_eq!(canonicalize(&again).as_ref(), Ok(&canonical));
    }
}

/// Base64, hexadecimal, times, digests, subjects.
pub fn encodings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(bytes) = parse_base64(text, LIMIT) {
        assert_eq!(to_base64(&bytes), text);
    }
    if let Ok(bytes) = parse_hex_vec(text, LIMIT) {
        assert_eq!(to_hex(&bytes), text);
    }
    if let Ok(nonce) = Nonce::parse(text) {
        assert_eq!(nonce.to_string(), text);
    }
    if let Ok(spki) = SpkiDigest::parse(text) {
        assert_eq!(spki.to_string(), text);
    }
    if let Ok(subject) = Subject::parse(text) {
        assert_eq!(subject.to_string(), text);
    }
    if let Ok(time) = UnixTime::parse_rfc3339(text) {
        assert_eq!(UnixTime::parse_rfc3339(&time.to_string()), Ok(time));
    }
}

/// Certificates from outside: a peer's, or a root in a file.
pub fn certificates(data: &[u8]) {
    let _ = SpkiDigest::from_certificate_der(data);
    let _ = Roots::supplied(data);
    let _ = Roots::none().with(RootKind::AmdMilan, data);
}

/// An attestation policy.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(policy) = AttestationPolicy::parse(text) {
        let again = AttestationPolicy::parse(text).expect("it was read before");
        assert_eq!(again.digest(), policy.digest());
    }
}

/// A retention policy: as an operator writes it, as a service stores it, as a report publishes it. What is published
/// parses again to the same document and, in format 2, names nothing that the operator's text names.
pub fn retention(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let written = RetentionPolicy::from_toml(text).ok();
    let stored = RetentionPolicy::from_stored(text).ok();
    for policy in written.into_iter().chain(stored) {
        let published =
            PublishedPolicy::parse(policy.published().text()).expect("it was published");
        assert_eq!(&published, policy.published());
        let again = RetentionPolicy::from_stored(&policy.stored_text()).expect("it was stored");
        assert_eq!(again.digest(), policy.digest());
    }
    if let Ok(published) = PublishedPolicy::parse(text) {
        assert_eq!(published.text(), text);
    }
}

/// A bundle of collateral.
pub fn collateral(data: &[u8]) {
    if let Ok(collateral) = Collateral::parse(data) {
        let again = Collateral::from_value(&collateral.to_value());
        assert_eq!(again.as_ref(), Ok(&collateral));
    }
}
