//! ACI/1 documents. What is read is written again and reads back as the same.

use std::sync::LazyLock;

use attest_core::{Keyset, Receipt, Report, Session, SigningKey, UnixTime};

/// A report.
pub fn aci_report(data: &[u8]) {
    if let Ok(report) = Report::parse(data) {
        let _ = (report.verify_signature(), report.check_keyset_digest());
        let again = Report::parse(report.to_json().as_bytes()).expect("what we write, we read");
        assert_eq!(again.to_json(), report.to_json());
        assert_eq!(again.keyset_digest(), report.keyset_digest());
        assert_eq!(
            again.verify_signature().is_ok(),
            report.verify_signature().is_ok()
        );
    }
}

static KEYSET: LazyLock<Keyset> = LazyLock::new(|| Keyset {
    subject: None,
    not_after: UnixTime::from_secs(1_800_000_000),
    receipt_signing_keys: vec![
        SigningKey::from_seed("receipt-1", &[2; 32])
            .expect("a key")
            .public_entry(),
    ],
    e2ee_public_keys: vec![],
    tls_public_keys: vec![],
});

/// A receipt.
pub fn aci_receipt(data: &[u8]) {
    if let Ok(receipt) = Receipt::parse(data) {
        if let Ok(verified) = receipt.verify(&KEYSET) {
            let _ = (
                verified.received(),
                verified.forwarded(),
                verified.returned(),
            );
            let _ = verified.upstream();
        }
        let again = Receipt::parse(receipt.to_json().as_bytes()).expect("what we write, we read");
        assert_eq!(again.signed_bytes(), receipt.signed_bytes());
        assert_eq!(again.to_json(), receipt.to_json());
    }
}

/// A session.
pub fn aci_session(data: &[u8]) {
    if let Ok(session) = Session::parse(data) {
        let again = Session::parse(&session.to_jcs()).expect("what we write, we read");
        assert_eq!(again.id(), session.id());
        assert_eq!(again.record(), session.record());
        let _ = session.abbreviated_json();
    }
}

/// A keyset.
pub fn aci_keyset(data: &[u8]) {
    if let Ok(keyset) = Keyset::parse(data) {
        let again = Keyset::parse(&keyset.to_jcs()).expect("what we write, we read");
        assert_eq!(again, keyset);
        assert_eq!(again.digest(), keyset.digest());
    }
}
