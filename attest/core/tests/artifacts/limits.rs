//! Over-long input is refused before it is parsed.

use attest_core::json::JsonError;
use attest_core::{
    DocumentError, Keyset, KeysetError, Receipt, ReceiptError, Report, ReportError, Session,
    SessionError, json,
};

use crate::fixtures;

/// White space is legal, so only its length can be what is wrong.
fn padded(json: &str, to: usize) -> Vec<u8> {
    let mut bytes = json.as_bytes().to_vec();
    bytes.resize(to, b' ');
    bytes
}

fn too_long(max: usize) -> DocumentError {
    DocumentError::Json(JsonError::TooLong { len: max + 1, max })
}

#[test]
fn a_keyset_has_a_limit() {
    let text = String::from_utf8(fixtures::keyset().to_jcs()).expect("JSON is UTF-8");
    let max = attest_core::MAX_KEYSET_BYTES;
    assert_eq!(Keyset::parse(&padded(&text, max)), Ok(fixtures::keyset()));
    assert_eq!(
        Keyset::parse(&padded(&text, max + 1)),
        Err(KeysetError::Document(too_long(max)))
    );
}

#[test]
fn a_receipt_has_a_limit() {
    let text = fixtures::receipt().to_json();
    let max = attest_core::MAX_RECEIPT_BYTES;
    assert_eq!(Receipt::parse(&padded(&text, max)), Ok(fixtures::receipt()));
    assert_eq!(
        Receipt::parse(&padded(&text, max + 1)),
        Err(ReceiptError::Document(too_long(max)))
    );
}

#[test]
fn a_report_has_a_limit() {
    let text = fixtures::report().to_json();
    let max = attest_core::MAX_REPORT_BYTES;
    assert_eq!(Report::parse(&padded(&text, max)), Ok(fixtures::report()));
    assert_eq!(
        Report::parse(&padded(&text, max + 1)),
        Err(ReportError::Document(too_long(max)))
    );
}

#[test]
fn a_session_has_a_limit() {
    let max = attest_core::MAX_SESSION_BYTES;
    assert_eq!(
        Session::parse(&padded("{}", max + 1)),
        Err(SessionError::Document(too_long(max)))
    );
    assert!(matches!(
        Session::parse(&padded("{}", max)),
        Err(SessionError::Document(DocumentError::Missing { .. }))
    ));
}

#[test]
fn a_quote_has_a_limit() {
    let mut report = fixtures::unsigned_report();
    report.evidence.cpu = attest_core::CpuEvidence::Tdx {
        quote: vec![0; 64 * 1024 + 1],
    };
    let refused = Report::parse(report.sign(&fixtures::key()).to_json().as_bytes());
    assert_eq!(
        refused.map_err(|error| crate::error_names::report(&error)),
        Err("encoding.too_long")
    );
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_where_they_stand() {
    assert_eq!(
        json::parse(b"\"a\xff\"", 9),
        Err(JsonError::NotUtf8 { offset: 2 })
    );
    assert_eq!(
        json::parse(b"\"\xed\xa0\x80\"", 9),
        Err(JsonError::NotUtf8 { offset: 1 })
    );
}

#[test]
fn nesting_is_counted_not_recursed_into_forever() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(json::parse(nested(64).as_bytes(), 1 << 20).is_ok());
    assert_eq!(
        json::parse(nested(65).as_bytes(), 1 << 20),
        Err(JsonError::TooDeep { offset: 64 })
    );
    assert_eq!(
        json::parse("{\"a\":".repeat(100_000).as_bytes(), 1 << 20),
        Err(JsonError::TooDeep { offset: 320 })
    );
}

#[test]
fn fractions_and_huge_numbers_have_no_canonical_form_either() {
    for value in [serde_json::json!(1.5), serde_json::json!({"a": [u64::MAX]})] {
        assert_eq!(
            json::canonicalize(&value),
            Err(JsonError::NumberNotCanonical)
        );
    }
}
