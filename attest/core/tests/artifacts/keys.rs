//! Looking keys up, and what a private key shows of itself.

use attest_core::{
    CertificateError, KeyError, KeysetError, PublicKeyEntry, ReceiptError, SigningKey, SpkiDigest,
    TlsKeyEntry, to_hex,
};

use crate::fixtures;

const SPKI: SpkiDigest = SpkiDigest::from_bytes([0xc0; 32]);

fn for_host(domain: &str) -> TlsKeyEntry {
    TlsKeyEntry {
        spki_sha256: SPKI,
        domain: Some(domain.to_owned()),
    }
}

#[test]
fn a_tls_key_without_domain_is_for_every_host() {
    assert_eq!(
        fixtures::keyset().lists_tls_key(&SPKI, "any.example"),
        Ok(())
    );
}

#[test]
fn a_tls_key_that_is_not_listed_is_refused() {
    let other = SpkiDigest::from_bytes([0xc1; 32]);
    assert_eq!(
        fixtures::keyset().lists_tls_key(&other, "any.example"),
        Err(KeysetError::TlsKeyNotListed { spki: other })
    );
}

#[test]
fn a_tls_key_for_one_domain_is_refused_for_others() {
    let mut keyset = fixtures::keyset();
    keyset.tls_public_keys = vec![for_host("a.example"), for_host("b.example")];
    for host in ["a.example", "b.example", "A.Example", "b.example."] {
        assert_eq!(keyset.lists_tls_key(&SPKI, host), Ok(()), "{host}");
    }
    for host in ["c.example", "x.a.example", "example", "", "a.example.."] {
        let refused = KeysetError::TlsKeyNotForHost {
            host: host.to_owned(),
        };
        assert_eq!(keyset.lists_tls_key(&SPKI, host), Err(refused), "{host}");
    }
}

#[test]
fn a_key_of_an_unknown_algorithm_is_ignored_until_something_is_signed_with_it() {
    let mut keyset = fixtures::keyset();
    keyset.receipt_signing_keys.push(PublicKeyEntry {
        key_id: "r-2".into(),
        algo: "ml-dsa-65".into(),
        public_key: "whatever".into(),
    });
    assert_eq!(keyset.check(), Ok(()));
    assert!(keyset.receipt_key("r-1").is_ok());
    assert_eq!(
        keyset.receipt_key("r-2"),
        Err(KeysetError::UnsupportedAlgorithm {
            key_id: "r-2".into(),
            algo: "ml-dsa-65".into()
        })
    );
    assert_eq!(
        keyset.receipt_key("r-3"),
        Err(KeysetError::UnknownKey {
            key_id: "r-3".into()
        })
    );
}

#[test]
fn a_receipt_just_signed_is_held_to_the_same_rules_as_a_parsed_one() {
    let mut body = fixtures::receipt_body();
    body.events.pop();
    assert_eq!(
        body.sign(&fixtures::key()).verify(&fixtures::keyset()),
        Err(ReceiptError::MissingEvent {
            event: "response.returned"
        })
    );
}

#[test]
fn a_signing_key_prints_its_id_and_nothing_else() {
    let seed = [0x5e; 32];
    let key = SigningKey::from_seed("receipt-1", &seed).expect("a well-formed key id");
    let printed = format!("{key:?} {key:#?}").to_lowercase();
    assert!(printed.contains("receipt-1") && printed.contains("[sensitive]"));
    for secret in [
        to_hex(&seed),
        to_hex(&[0x5e; 2]),
        "94".to_owned(),
        "5e".to_owned(),
    ] {
        assert!(!printed.contains(&secret), "{printed}");
    }
}

#[test]
fn a_key_id_is_short_visible_ascii() {
    let make = |id: &str| SigningKey::from_seed(id, &[1; 32]).map(|key| key.key_id().to_owned());
    assert_eq!(make("a"), Ok("a".to_owned()));
    for wrong in ["", "a b", "a\n", "é", &"a".repeat(129)] {
        assert_eq!(make(wrong), Err(KeyError::KeyId), "{wrong:?}");
    }
}

#[test]
fn no_key_is_read_out_of_what_is_no_certificate() {
    for bytes in [
        &b""[..],
        b"\x30",
        b"-----BEGIN CERTIFICATE-----",
        &[0x30, 0x03, 1, 1, 0],
    ] {
        assert_eq!(
            SpkiDigest::from_certificate_der(bytes),
            Err(CertificateError::Malformed)
        );
    }
}
