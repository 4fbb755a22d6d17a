//! Reports, receipts and sessions against the second implementation.

use serde::Deserialize;

use crate::{
    error_names,
    second_script::{Refused, each_is_refused, vectors},
};
use attest_core::{
    Event, Keyset, PROFILE_ID, Receipt, ReceiptError, Report, ReportError, Session, Sha256Digest,
    SigningKey, Subject, UnsignedReport, Upstream, VerifiedReceipt, json, parse_hex, to_hex,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    name: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportVectors {
    profile: String,
    seed: String,
    key_id: String,
    made: Vec<MadeReport>,
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeReport {
    name: String,
    unsigned_jcs: String,
    message_sha256: String,
    signature: String,
    text: String,
}

fn read_report(text: &str) -> Result<Report, ReportError> {
    let report = Report::parse(text.as_bytes())?;
    report.verify_signature()?;
    report.check_keyset_digest()?;
    Ok(report)
}

/// The same parts, to be signed again.
fn parts(report: &Report) -> UnsignedReport {
    UnsignedReport {
        keyset: report.keyset().clone(),
        tee_type: report.tee_type(),
        report_data: *report.report_data(),
        provenance: report.provenance().clone(),
        evidence: report.evidence().clone(),
        serving: report.serving(),
    }
}

#[test]
fn reports_are_signed_as_the_second_implementation_signs_them() {
    let vectors: ReportVectors = vectors("report.json");
    assert_eq!(vectors.profile, PROFILE_ID);
    let seed = parse_hex(&vectors.seed).expect("a seed");
    let key = SigningKey::from_seed(&vectors.key_id, &seed).expect("a key id");
    for case in &vectors.made {
        let message = attest_core::report_message(case.unsigned_jcs.as_bytes());
        let digest = Sha256Digest::hash(&message).to_hex();
        assert_eq!(digest, case.message_sha256, "{}", case.name);

        let read = read_report(&case.text).expect(&case.name);
        assert!(case.text.contains(&case.signature), "{}", case.name);
        let made = parts(&read).sign(&key);
        assert_eq!(made.to_json(), case.text, "{}", case.name);
        assert_eq!(made, read, "{}", case.name);
    }
}

#[test]
fn a_report_verifies_in_any_encoding_and_with_signed_members_we_do_not_know() {
    let vectors: ReportVectors = vectors("report.json");
    for case in vectors.accepted {
        let report = read_report(&case.text).expect(&case.name);
        // What is served again carries everything that was read.
        let value = json::parse(case.text.as_bytes(), 1 << 20).expect(&case.name);
        let jcs = json::canonicalize(&value).expect(&case.name);
        assert_eq!(report.to_json().as_bytes(), jcs, "{}", case.name);
    }
}

#[test]
fn every_change_to_a_report_is_refused_for_its_own_reason() {
    let vectors: ReportVectors = vectors("report.json");
    each_is_refused(&vectors.refused, |text| {
        Some(error_names::report(&read_report(text).err()?))
    });
}

#[test]
fn the_report_carries_the_documents_that_its_subject_names() {
    let vectors: ReportVectors = vectors("report.json");
    let report = read_report(&vectors.made[0].text).expect("the first report verifies");
    let subject = report.keyset().subject.as_deref().map(Subject::parse);
    let documents = &report.evidence().documents;
    let named = Subject {
        config: Sha256Digest::hash(documents["config"].as_bytes()),
        retention: Sha256Digest::hash(documents["retention"].as_bytes()),
    };
    assert_eq!(subject, Some(Ok(named)));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptVectors {
    profile: String,
    seed: String,
    keyset_jcs: String,
    request: String,
    forwarded: String,
    response: String,
    session_id: String,
    retention_document: String,
    made: Vec<MadeReceipt>,
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeReceipt {
    name: String,
    signed_jcs: String,
    text: String,
}

impl ReceiptVectors {
    fn read(&self, text: &str) -> Result<(Receipt, VerifiedReceipt), ReceiptError> {
        let keyset = Keyset::parse(self.keyset_jcs.as_bytes()).expect("it is a keyset");
        let receipt = Receipt::parse(text.as_bytes())?;
        let verified = receipt.verify(&keyset)?;
        Ok((receipt, verified))
    }
}

#[test]
fn receipts_are_signed_as_the_second_implementation_signs_them() {
    let vectors: ReceiptVectors = vectors("receipt.json");
    assert_eq!(vectors.profile, PROFILE_ID);
    let seed = parse_hex(&vectors.seed).expect("a seed");
    for case in &vectors.made {
        let (read, _) = vectors.read(&case.text).expect(&case.name);
        assert_eq!(
            read.signed_bytes(),
            case.signed_jcs.as_bytes(),
            "{}",
            case.name
        );
        let key = SigningKey::from_seed(read.key_id(), &seed).expect("a key id");
        let made = read.body().clone().sign(&key);
        assert_eq!(made.to_json(), case.text, "{}", case.name);
        assert_eq!(made, read, "{}", case.name);
    }
}

#[test]
fn a_receipt_tells_what_happened() {
    let vectors: ReceiptVectors = vectors("receipt.json");
    let (_, served) = vectors.read(&vectors.made[0].text).expect("it verifies");
    let of = |text: &str| Sha256Digest::hash(text.as_bytes());
    assert_eq!(served.matches_request(of(&vectors.request)), Ok(()));
    assert_eq!(served.matches_response(of(&vectors.response)), Ok(()));
    assert_eq!(served.forwarded(), Some(of(&vectors.forwarded)));
    assert_eq!(
        served.matches_request(of(&vectors.forwarded)),
        Err(ReceiptError::RequestMismatch {
            receipt: of(&vectors.request),
            observed: of(&vectors.forwarded)
        })
    );
    assert_eq!(
        served.matches_response(of("")),
        Err(ReceiptError::ResponseMismatch {
            receipt: of(&vectors.response),
            observed: of("")
        })
    );
    assert!(served.body().events.contains(&Event::PolicyApplied {
        retention: of(&vectors.retention_document),
        mode: "metadata".into(),
        epoch: 7
    }));
    let Upstream::Verified { session_id, .. } = served.upstream() else {
        panic!("{:?}", served.upstream());
    };
    assert_eq!(to_hex(session_id.as_bytes()), vectors.session_id);
}

#[test]
fn of_several_upstream_verifications_the_last_one_counts() {
    let vectors: ReceiptVectors = vectors("receipt.json");
    let (_, refused) = vectors.read(&vectors.made[1].text).expect("it verifies");
    assert_eq!(refused.forwarded(), None);
    assert_eq!(
        refused.upstream(),
        Upstream::Failed {
            required: false,
            model_id: "upstream-model",
            reason: "timeout"
        }
    );
}

#[test]
fn a_receipt_verifies_in_any_encoding_and_with_signed_members_we_do_not_know() {
    let vectors: ReceiptVectors = vectors("receipt.json");
    for case in &vectors.accepted {
        vectors.read(&case.text).expect(&case.name);
    }
}

#[test]
fn every_change_to_a_receipt_is_refused_for_its_own_reason() {
    let vectors: ReceiptVectors = vectors("receipt.json");
    each_is_refused(&vectors.refused, |text| {
        Some(error_names::receipt(&vectors.read(text).err()?))
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionVectors {
    profile: String,
    made: Vec<MadeSession>,
    abbreviated_jcs: String,
    accepted: Vec<AcceptedSession>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeSession {
    name: String,
    jcs: String,
    session_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptedSession {
    name: String,
    text: String,
    session_id: String,
}

#[test]
fn sessions_have_the_ids_of_the_second_implementation() {
    let vectors: SessionVectors = vectors("session.json");
    assert_eq!(vectors.profile, PROFILE_ID);
    for case in &vectors.made {
        let read = Session::parse(case.jcs.as_bytes()).expect(&case.name);
        let made = Session::new(read.record().clone()).expect(&case.name);
        assert_eq!(made.to_json(), case.jcs, "{}", case.name);
        assert_eq!(made.id().to_string(), case.session_id, "{}", case.name);
        assert_eq!(made.check_id(read.id()), Ok(()));
    }
    for case in &vectors.accepted {
        let read = Session::parse(case.text.as_bytes()).expect(&case.name);
        assert_eq!(read.id().to_string(), case.session_id, "{}", case.name);
    }
    each_is_refused(&vectors.refused, |text| {
        Some(error_names::session(
            &Session::parse(text.as_bytes()).err()?,
        ))
    });
}

#[test]
fn a_session_list_entry_has_the_id_and_not_the_evidence() {
    let vectors: SessionVectors = vectors("session.json");
    let session = Session::parse(vectors.made[0].jcs.as_bytes()).expect("it is a session");
    let entry = json::canonicalize(&session.abbreviated_json()).expect("integers only");
    assert_eq!(String::from_utf8(entry), Ok(vectors.abbreviated_jcs));
}

#[test]
fn a_session_is_not_another() {
    let vectors: SessionVectors = vectors("session.json");
    let [everything, least] = &vectors.made[..] else {
        panic!("two sessions");
    };
    let session = Session::parse(everything.jcs.as_bytes()).expect("it is a session");
    let other = Session::parse(least.jcs.as_bytes()).expect("it is a session");
    let refused = session.check_id(other.id()).expect_err("another id");
    assert_eq!(error_names::session(&refused), "session.id");
}
