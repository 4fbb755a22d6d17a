//! Receipts that the audit log proves instead of a signature.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fixtures::{key, keyset, receipt_body};
use attest_core::log::{
    Checkpoint, Entry, Fact, Origin, ReceiptProof, TreeHash, prove, receipts_root, tree,
};
use attest_core::{
    LoggedReceipt, LoggedReceiptError, Receipt, ReceiptDocument, ReceiptError, Sha256Digest,
    SigningKey, Subject, UnixTime, signs_receipts_on_fetch,
};

/// A log with one batch of three receipts, whose head is signed by this key; the proof is about the one at `place`.
fn proof(digests: &[Sha256Digest], place: u64, signer: &SigningKey) -> ReceiptProof {
    let at = UnixTime::from_secs(1_780_000_001);
    let origin = Origin::from_bytes([7; 16]);
    let batch = Entry {
        at,
        fact: Fact::Receipts {
            root: receipts_root(digests),
        },
    };
    let began = Entry {
        at,
        fact: Fact::Began { origin },
    };
    let leaves: Vec<TreeHash> = [&began, &batch]
        .map(|entry| tree::leaf(&entry.to_bytes()))
        .into();
    let checkpoint = Checkpoint {
        origin,
        size: 2,
        root: tree::root(&leaves),
    };
    let hashes = prove::inclusion(1, 2).expect("it has two leaves");
    let hashes = hashes
        .into_iter()
        .map(|range| tree::root(&leaves[range.start as usize..range.end as usize]))
        .collect();
    ReceiptProof::new(&batch, digests, place, 1, hashes, checkpoint.sign(signer))
        .expect("a batch of receipts")
}

fn digests() -> Vec<Sha256Digest> {
    vec![
        Sha256Digest::hash(b"another"),
        receipt_body().unsigned(&key()).digest(),
        Sha256Digest::hash(b"a third"),
    ]
}

fn logged() -> LoggedReceipt {
    let unsigned = receipt_body().unsigned(&key());
    LoggedReceipt::new(unsigned.bytes(), &proof(&digests(), 1, &key())).expect("a receipt")
}

fn parsed(json: &str) -> LoggedReceipt {
    match ReceiptDocument::parse(json.as_bytes()).expect("a receipt") {
        ReceiptDocument::Logged(receipt) => *receipt,
        ReceiptDocument::Signed(_) => panic!("it has no signature"),
    }
}

fn refused_by_the_log(receipt: &LoggedReceipt) -> bool {
    let refused = receipt.verify(&keyset());
    matches!(refused, Err(LoggedReceiptError::Log(_)))
}

#[test]
fn a_receipt_signed_later_is_the_one_signed_at_once() {
    let unsigned = receipt_body().unsigned(&key());
    let later = unsigned.sign(&key()).expect("the key it names");
    assert_eq!(later, receipt_body().sign(&key()).to_json());
    let receipt = Receipt::parse(later.as_bytes()).expect("a receipt");
    assert_eq!(receipt.signed_bytes(), unsigned.bytes());
    let document = ReceiptDocument::parse(later.as_bytes()).expect("a receipt");
    let digests = (receipt.digest(), Some(unsigned.digest()));
    assert_eq!(document.logged_digests(), digests);
}

#[test]
fn a_deferred_signature_is_made_over_its_own_document_only() {
    let unsigned = receipt_body().unsigned(&key());
    let deferred = unsigned.deferred();
    assert_eq!(deferred.digest(), unsigned.digest());
    let later = deferred.sign(unsigned.bytes(), &key());
    assert_eq!(later, unsigned.sign(&key()));
    let mut altered = unsigned.into_bytes();
    altered[20] ^= 1;
    assert_eq!(deferred.sign(&altered, &key()), None);
    assert_eq!(deferred.sign(b"", &key()), None);
}

#[test]
fn no_other_key_signs_an_unsigned_receipt() {
    let other = SigningKey::from_seed("r-2", &[3; 32]).expect("a well-formed key id");
    assert_eq!(receipt_body().unsigned(&key()).sign(&other), None);
}

#[test]
fn a_receipt_in_the_log_verifies_without_a_signature() {
    let document = logged().to_json();
    let verified = parsed(&document).verify(&keyset()).expect("verified");
    assert_eq!(*verified.body(), receipt_body());
    assert_eq!(parsed(&document), logged());
}

#[test]
fn rejects_an_altered_receipt_with_the_proof_of_the_original() {
    let mut value: Value = serde_json::from_str(&logged().to_json()).expect("JSON");
    for (member, altered) in [
        ("receipt_id", "rcpt-2"),
        ("model", "other"),
        ("endpoint", "/v1/embeddings"),
        ("unknown", "added"),
    ] {
        let original = value[member].take();
        value[member] = altered.into();
        assert!(refused_by_the_log(&parsed(&value.to_string())));
        match original {
            Value::Null => drop(value.as_object_mut().expect("an object").remove(member)),
            original => value[member] = original,
        }
    }
    assert!(parsed(&value.to_string()).verify(&keyset()).is_ok());
}

#[test]
fn rejects_the_proof_of_another_receipt() {
    let unsigned = receipt_body().unsigned(&key());
    for place in [0, 2] {
        let other = proof(&digests(), place, &key());
        let receipt = LoggedReceipt::new(unsigned.bytes(), &other).expect("a receipt");
        assert!(refused_by_the_log(&receipt));
    }
    let others = [digests()[0], digests()[2]];
    let receipt = LoggedReceipt::new(unsigned.bytes(), &proof(&others, 1, &key()));
    assert!(refused_by_the_log(&receipt.expect("a receipt")));
}

#[test]
fn rejects_a_head_that_another_key_signed() {
    let stranger = SigningKey::from_seed("r-1", &[4; 32]).expect("a well-formed key id");
    let unsigned = receipt_body().unsigned(&key());
    let receipt = LoggedReceipt::new(unsigned.bytes(), &proof(&digests(), 1, &stranger));
    assert!(refused_by_the_log(&receipt.expect("a receipt")));
}

#[test]
fn rejects_a_logged_receipt_of_another_keyset() {
    let mut other = keyset();
    other.not_after = other.not_after.plus(std::time::Duration::from_secs(1));
    assert!(matches!(
        logged().verify(&other),
        Err(LoggedReceiptError::Receipt(
            ReceiptError::KeysetDigestMismatch { .. }
        ))
    ));
}

#[test]
fn a_document_without_signature_and_proof_is_no_receipt() {
    let unsigned = receipt_body().unsigned(&key());
    assert!(LoggedReceipt::is_unsigned(unsigned.bytes()));
    assert!(!LoggedReceipt::is_unsigned(
        receipt_body().sign(&key()).to_json().as_bytes()
    ));
    assert!(ReceiptDocument::parse(unsigned.bytes()).is_err());
}

#[test]
fn a_wrong_signature_is_not_made_good_by_a_proof() {
    let mut value: Value = serde_json::from_str(&logged().to_json()).expect("JSON");
    value["signature"] = "00".repeat(64).into();
    let document = ReceiptDocument::parse(value.to_string().as_bytes()).expect("a receipt");
    let ReceiptDocument::Signed(receipt) = document else {
        panic!("it has a signature");
    };
    assert_eq!(receipt.verify(&keyset()), Err(ReceiptError::Signature));
}

#[test]
fn only_the_configuration_of_the_subject_says_when_receipts_are_signed() {
    let config = r#"{"receipts":{"keep_ms":1,"sign":"on_fetch"}}"#;
    let of = |config: &str| {
        let subject = Subject {
            config: Sha256Digest::hash(config.as_bytes()),
            retention: Sha256Digest::hash(b"retention"),
        };
        let mut keyset = keyset();
        keyset.subject = Some(subject.to_string());
        keyset
    };
    let documents = |config: &str| BTreeMap::from([("config".to_owned(), config.to_owned())]);
    assert!(signs_receipts_on_fetch(&of(config), &documents(config)));
    assert!(!signs_receipts_on_fetch(&of("{}"), &documents(config)));
    assert!(!signs_receipts_on_fetch(&keyset(), &documents(config)));
    assert!(!signs_receipts_on_fetch(&of(config), &BTreeMap::new()));
    for eager in [r#"{"receipts":{"sign":"eager"}}"#, "{}", "not JSON"] {
        assert!(!signs_receipts_on_fetch(&of(eager), &documents(eager)));
    }
}
