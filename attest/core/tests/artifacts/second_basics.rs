//! JSON, subject, GPU nonce, keyset and statement against the second implementation.

use serde::Deserialize;

use crate::{
    error_names,
    second_script::{Refused, each_is_refused, vectors},
};
use attest_core::{
    Keyset, Nonce, PROFILE_ID, Sha256Digest, Statement, Subject, gpu_nonce, json, to_hex,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonVectors {
    profile: String,
    canonical: Vec<Canonical>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Canonical {
    name: String,
    text: String,
    jcs: String,
}

#[test]
fn json_has_the_canonical_form_of_the_second_implementation() {
    let vectors: JsonVectors = vectors("json.json");
    assert_eq!(vectors.profile, PROFILE_ID);
    for case in vectors.canonical {
        let value = json::parse(case.text.as_bytes(), 10_000).expect(&case.name);
        let jcs = json::canonicalize(&value).expect(&case.name);
        assert_eq!(String::from_utf8(jcs), Ok(case.jcs), "{}", case.name);
    }
    each_is_refused(&vectors.refused, |text| {
        let refusal = json::parse(text.as_bytes(), 10_000).err()?;
        Some(error_names::json(&refusal))
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectVectors {
    profile: String,
    config_document: String,
    retention_document: String,
    config: String,
    retention: String,
    text: String,
    refused: Vec<Refused>,
}

#[test]
fn the_subject_names_both_documents_in_one_spelling() {
    let vectors: SubjectVectors = vectors("subject.json");
    assert_eq!(vectors.profile, PROFILE_ID);
    let subject = Subject {
        config: Sha256Digest::hash(vectors.config_document.as_bytes()),
        retention: Sha256Digest::hash(vectors.retention_document.as_bytes()),
    };
    assert_eq!(subject.config.to_string(), vectors.config);
    assert_eq!(subject.retention.to_string(), vectors.retention);
    assert_eq!(subject.to_string(), vectors.text);
    assert_eq!(Subject::parse(&vectors.text), Ok(subject));
    each_is_refused(&vectors.refused, |text| {
        Some(error_names::subject(&Subject::parse(text).err()?))
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GpuNonceVectors {
    profile: String,
    cases: Vec<GpuNonce>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GpuNonce {
    name: String,
    nonce: String,
    keyset_digest: String,
    message: String,
    gpu_nonce: String,
}

#[test]
fn the_gpu_nonce_depends_on_nonce_and_keyset_in_this_order() {
    let vectors: GpuNonceVectors = vectors("gpu-nonce.json");
    assert_eq!(vectors.profile, PROFILE_ID);
    let mut seen = std::collections::HashSet::new();
    for case in vectors.cases {
        let nonce = Nonce::parse(&case.nonce).expect(&case.name);
        let keyset = Sha256Digest::parse(&case.keyset_digest).expect(&case.name);
        let message = [
            b"sealgate/gpu-nonce/v1",
            &nonce.as_bytes()[..],
            keyset.as_bytes(),
        ]
        .concat();
        assert_eq!(to_hex(&message), case.message, "{}", case.name);
        let found = to_hex(&gpu_nonce(&nonce, &keyset));
        assert_eq!(found, case.gpu_nonce, "{}", case.name);
        assert!(seen.insert(found), "{} is like another", case.name);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysetVectors {
    profile: String,
    text: String,
    jcs: String,
    digest: String,
    refused: Vec<Refused>,
}

#[test]
fn a_keyset_of_the_profile_has_its_digest_and_its_refusals() {
    let vectors: KeysetVectors = vectors("keyset.json");
    assert_eq!(vectors.profile, PROFILE_ID);
    let keyset = Keyset::parse(vectors.text.as_bytes()).expect("it is a keyset");
    assert_eq!(String::from_utf8(keyset.to_jcs()), Ok(vectors.jcs));
    assert_eq!(keyset.digest().to_string(), vectors.digest);
    each_is_refused(&vectors.refused, |text| {
        Some(error_names::keyset(&Keyset::parse(text.as_bytes()).err()?))
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementVectors {
    profile: String,
    keyset_digest: String,
    nonce: String,
    challenged: StatementCase,
    unchallenged: StatementCase,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementCase {
    bytes: String,
    slot: String,
}

#[test]
fn statements_have_the_bytes_and_the_slot_of_the_second_implementation() {
    let vectors: StatementVectors = vectors("statement.json");
    assert_eq!(vectors.profile, PROFILE_ID);
    let digest = Sha256Digest::parse(&vectors.keyset_digest).expect("a digest");
    let nonce = Nonce::parse(&vectors.nonce).expect("a nonce");
    for (statement, case) in [
        (Statement::challenged(digest, nonce), vectors.challenged),
        (Statement::unchallenged(digest), vectors.unchallenged),
    ] {
        assert_eq!(statement.bytes(), case.bytes.as_bytes());
        assert_eq!(to_hex(statement.report_data().as_bytes()), case.slot);
    }
}
