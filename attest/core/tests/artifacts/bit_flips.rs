//! No signed document survives the change of a single bit.

use attest_core::{Keyset, Receipt, Report, Session};

use crate::fixtures;

fn each_flip(bytes: &[u8], mut check: impl FnMut(&[u8], usize, u8)) {
    let mut flipped = bytes.to_vec();
    for offset in 0..bytes.len() {
        for bit in 0..8 {
            flipped[offset] ^= 1 << bit;
            check(&flipped, offset, bit);
            flipped[offset] ^= 1 << bit;
        }
    }
}

#[test]
fn a_report_with_any_bit_flipped_is_refused() {
    let report = fixtures::report();
    report
        .verify_signature()
        .expect("the untouched report verifies");
    each_flip(report.to_json().as_bytes(), |bytes, offset, bit| {
        let outcome = Report::parse(bytes).and_then(|report| report.verify_signature());
        assert!(outcome.is_err(), "bit {bit} of byte {offset}");
    });
}

#[test]
fn a_receipt_with_any_bit_flipped_is_refused() {
    let receipt = fixtures::receipt();
    let keyset = fixtures::keyset();
    receipt
        .verify(&keyset)
        .expect("the untouched receipt verifies");
    each_flip(receipt.to_json().as_bytes(), |bytes, offset, bit| {
        let outcome = Receipt::parse(bytes).and_then(|receipt| receipt.verify(&keyset));
        assert!(outcome.is_err(), "bit {bit} of byte {offset}");
    });
}

#[test]
fn a_keyset_with_any_bit_flipped_is_refused_or_has_another_digest() {
    let digest = fixtures::keyset().digest();
    each_flip(&fixtures::keyset().to_jcs(), |bytes, offset, bit| {
        if let Ok(keyset) = Keyset::parse(bytes) {
            assert_ne!(keyset.digest(), digest, "bit {bit} of byte {offset}");
        }
    });
}

#[test]
fn a_session_with_any_bit_flipped_is_refused_or_has_another_id() {
    let text = br#"{"api_version":"aci/1","channel_binding":[],"claims":{},"endpoint":null,"established_at":1,"evidence":{"data":"data:;base64,","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"expires_at":2,"upstream_name":"u","verifier_id":"v"}"#;
    let session = Session::parse(text).expect("the untouched session is well formed");
    assert_eq!(session.to_jcs(), text);
    each_flip(text, |bytes, offset, bit| {
        if let Ok(flipped) = Session::parse(bytes) {
            assert_ne!(flipped.id(), session.id(), "bit {bit} of byte {offset}");
        }
    });
}
