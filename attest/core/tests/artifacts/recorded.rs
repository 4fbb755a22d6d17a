//! ACI/1's own test vectors, recorded beside the project: every value in them, byte for byte.

use std::path::PathBuf;

use serde_json::Value;

use attest_core::{
    Claim, ClaimSource, DocumentError, EncodingError, Keyset, KeysetError, Nonce, Receipt, Session,
    SessionError, Sha256Digest, SigningKey, Statement, Upstream, json, parse_hex, to_hex,
};

/// The recorded file, or nothing after saying so.
fn recorded() -> Option<Value> {
    let folder = std::env::var_os("SEALGATE_VECTORS").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../../shared/vectors"
            ))
        },
        PathBuf::from,
    );
    let path = folder.join("aci/aci-1.json");
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).expect("the recorded file is JSON")),
        Err(_) => {
            println!("skipped: recorded vectors not found at {}", path.display());
            None
        }
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{pointer} is a string"))
}

fn document(value: &Value, pointer: &str) -> Vec<u8> {
    let document = value.pointer(pointer).expect("the document is recorded");
    serde_json::to_vec_pretty(document).expect("JSON is written")
}

#[test]
fn the_recorded_file_holds_nothing_that_is_not_tested_here() {
    let Some(vectors) = recorded() else { return };
    let names = |pointer| -> Vec<&String> {
        let object = vectors.pointer(pointer).and_then(Value::as_object);
        let mut names: Vec<&String> = object.expect("an object").keys().collect();
        names.sort();
        names
    };
    assert_eq!(
        names(""),
        [
            "keys",
            "keyset",
            "receipt",
            "session",
            "source",
            "statement"
        ]
    );
    assert_eq!(names("/keys"), ["receipt_ed25519_seed", "receipt_key_id"]);
    assert_eq!(names("/keyset"), ["digest", "document", "jcs"]);
    assert_eq!(names("/session"), ["document", "jcs", "session_id"]);
    assert_eq!(
        names("/statement"),
        [
            "bytes",
            "nonce",
            "report_data",
            "slot_hex",
            "unchallenged_bytes",
            "unchallenged_report_data"
        ]
    );
    assert_eq!(
        names("/receipt"),
        [
            "document",
            "request_body",
            "request_hash",
            "response_body",
            "response_hash",
            "signature",
            "signing_input_jcs",
            "signing_input_sha256",
        ]
    );
}

#[test]
fn the_recorded_keyset_has_its_canonical_form_and_digest() {
    let Some(vectors) = recorded() else { return };
    let keyset = Keyset::parse(&document(&vectors, "/keyset/document")).expect("it is a keyset");
    assert_eq!(keyset.to_jcs(), text(&vectors, "/keyset/jcs").as_bytes());
    assert_eq!(
        keyset.digest().to_string(),
        text(&vectors, "/keyset/digest")
    );
    assert_eq!(keyset.subject.as_deref(), Some("dstack-app://example-app"));
    assert_eq!(keyset.not_after.secs(), 1_800_000_000);
    assert_eq!(keyset.e2ee_public_keys[0].key_id, "e2ee-1");
    assert_eq!(
        keyset.receipt_signing_keys,
        [recorded_key(&vectors).public_entry()]
    );
    let spki = keyset.tls_public_keys[0].spki_sha256;
    assert_eq!(spki.to_hex(), "c0".repeat(32));
    assert_eq!(keyset.lists_tls_key(&spki, "api.example.com"), Ok(()));
}

#[test]
fn the_recorded_statements_have_their_bytes_and_report_data() {
    let Some(vectors) = recorded() else { return };
    let digest = Sha256Digest::parse(text(&vectors, "/keyset/digest")).expect("a digest");
    let nonce = Nonce::parse(text(&vectors, "/statement/nonce")).expect("a nonce");

    let challenged = Statement::challenged(digest, nonce);
    assert_eq!(
        challenged.bytes(),
        text(&vectors, "/statement/bytes").as_bytes()
    );
    let slot = challenged.report_data();
    assert_eq!(
        to_hex(slot.as_bytes()),
        text(&vectors, "/statement/slot_hex")
    );
    assert_eq!(
        to_hex(&slot.digest_half()),
        text(&vectors, "/statement/report_data")
    );

    let unchallenged = Statement::unchallenged(digest);
    assert_eq!(
        unchallenged.bytes(),
        text(&vectors, "/statement/unchallenged_bytes").as_bytes()
    );
    assert_eq!(
        to_hex(&unchallenged.report_data().digest_half()),
        text(&vectors, "/statement/unchallenged_report_data")
    );
}

#[test]
fn the_recorded_session_has_its_canonical_form_and_id() {
    let Some(vectors) = recorded() else { return };
    let bytes = document(&vectors, "/session/document");
    let session = Session::parse(&bytes).expect("it is a session");
    assert_eq!(session.to_json(), text(&vectors, "/session/jcs"));
    assert_eq!(
        session.id().to_string(),
        text(&vectors, "/session/session_id")
    );

    let record = session.record();
    assert_eq!(record.evidence.bytes, b"example-evidence");
    assert_eq!(record.evidence.content_type, "text/plain");
    assert_eq!(record.identity, None);
    assert_eq!(
        record.claims.tee_attested,
        Claim::Asserted {
            source: ClaimSource::HardwareProven,
            reason: Some("example quote verified".to_owned())
        }
    );
    assert_eq!(record.claims.gpu_attested, Claim::Unknown);
    // Made from its parts it is the same document, down to the id.
    assert_eq!(Session::new(record.clone()), Ok(session));
}

#[test]
fn the_recorded_receipt_has_its_signing_input_and_signature() {
    let Some(vectors) = recorded() else { return };
    let receipt = Receipt::parse(&document(&vectors, "/receipt/document")).expect("a receipt");
    let input = text(&vectors, "/receipt/signing_input_jcs");
    assert_eq!(receipt.signed_bytes(), input.as_bytes());
    assert_eq!(
        Sha256Digest::hash(input.as_bytes()).to_hex(),
        text(&vectors, "/receipt/signing_input_sha256")
    );
    assert_eq!(
        to_hex(receipt.signature()),
        text(&vectors, "/receipt/signature")
    );
    // Signed again from its parts it is the same document, down to the signature.
    assert_eq!(
        receipt.body().clone().sign(&recorded_key(&vectors)),
        receipt
    );
}

#[test]
fn the_recorded_receipt_verifies_and_is_about_the_recorded_bodies() {
    let Some(vectors) = recorded() else { return };
    let keyset = Keyset::parse(&document(&vectors, "/keyset/document")).expect("it is a keyset");
    let receipt = Receipt::parse(&document(&vectors, "/receipt/document")).expect("a receipt");
    let verified = receipt.verify(&keyset).expect("the signature verifies");
    let request = Sha256Digest::hash(text(&vectors, "/receipt/request_body").as_bytes());
    let response = Sha256Digest::hash(text(&vectors, "/receipt/response_body").as_bytes());
    assert_eq!(request.to_string(), text(&vectors, "/receipt/request_hash"));
    assert_eq!(
        response.to_string(),
        text(&vectors, "/receipt/response_hash")
    );
    assert_eq!(verified.matches_request(request), Ok(()));
    assert_eq!(verified.matches_response(response), Ok(()));
    assert!(verified.matches_request(response).is_err());
    assert!(verified.matches_response(request).is_err());
    assert_eq!(verified.forwarded(), Some(request));
    let Upstream::Verified {
        required: true,
        model_id: "demo-model",
        session_id,
    } = verified.upstream()
    else {
        panic!("{:?}", verified.upstream());
    };
    assert_eq!(
        session_id.to_string(),
        text(&vectors, "/session/session_id")
    );
}

#[test]
fn changes_to_the_recorded_documents_are_noticed_for_what_they_are() {
    let Some(vectors) = recorded() else { return };
    let mut keyset = vectors["keyset"]["document"].clone();
    keyset["tls_public_keys"][0]["spki_sha256"] = "C0".repeat(32).into();
    assert_eq!(
        Keyset::parse(keyset.to_string().as_bytes()),
        Err(KeysetError::Document(DocumentError::Encoding {
            field: "tls_public_keys.spki_sha256".into(),
            error: EncodingError::UpperCaseHex { offset: 0 },
        }))
    );
    let mut session = vectors["session"]["document"].clone();
    session["evidence"]["data"] = "data:text/plain;base64,ZXhhbXBsZS1ldmlkZW5jZA==".into();
    assert!(matches!(
        Session::parse(session.to_string().as_bytes()),
        Err(SessionError::EvidenceDigest { .. })
    ));
    let jcs = json::canonicalize(&vectors["keyset"]["document"]).expect("integers only");
    assert_eq!(jcs, text(&vectors, "/keyset/jcs").as_bytes());
}

fn recorded_key(vectors: &Value) -> SigningKey {
    let seed = parse_hex(text(vectors, "/keys/receipt_ed25519_seed")).expect("a seed");
    SigningKey::from_seed(text(vectors, "/keys/receipt_key_id"), &seed).expect("a key id")
}
