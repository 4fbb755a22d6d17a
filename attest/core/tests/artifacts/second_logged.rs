//! Receipts with log proofs against the second implementation.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    error_names,
    second_script::{Refused, each_is_refused, vectors},
};
use attest_core::log::LogProofError;
use attest_core::{
    Keyset, LoggedReceipt, LoggedReceiptError, PROFILE_ID, ReceiptDocument, VerifiedReceipt,
    signs_receipts_on_fetch,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoggedVectors {
    profile: String,
    keyset_jcs: String,
    configurations: Vec<Configuration>,
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    keyset_jcs: String,
    config: String,
    signs_on_fetch: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    name: String,
    text: String,
    digest: String,
    index: u64,
    size: u64,
}

fn keyset(text: &str) -> Keyset {
    Keyset::parse(text.as_bytes()).expect("a keyset")
}

fn read(
    text: &str,
    keyset: &Keyset,
) -> Result<Option<(LoggedReceipt, VerifiedReceipt)>, LoggedReceiptError> {
    match ReceiptDocument::parse(text.as_bytes())? {
        ReceiptDocument::Signed(_) => Ok(None),
        ReceiptDocument::Logged(receipt) => {
            let verified = receipt.verify(keyset)?;
            Ok(Some((*receipt, verified)))
        }
    }
}

fn error(error: &LoggedReceiptError) -> &'static str {
    match error {
        LoggedReceiptError::Receipt(error) => error_names::receipt(error),
        LoggedReceiptError::Log(LogProofError::Text(_)) => "proof.text",
        LoggedReceiptError::Log(LogProofError::Head(error)) => error_names::head(error),
        LoggedReceiptError::Log(LogProofError::Path(_)) => "proof.path",
        LoggedReceiptError::Log(LogProofError::OtherEntry(_)) => "proof.entry",
    }
}

#[test]
fn receipts_with_log_proofs_are_accepted_and_refused_as_the_second_implementation_does() {
    let vectors: LoggedVectors = vectors("logged-receipt.json");
    assert_eq!(vectors.profile, PROFILE_ID);
    let keyset = keyset(&vectors.keyset_jcs);
    assert!(!vectors.accepted.is_empty());
    for case in &vectors.accepted {
        let read = read(&case.text, &keyset).expect(&case.name);
        let (receipt, _) = read.expect("it has no signature");
        assert_eq!(receipt.to_json(), case.text, "{}", case.name);
        assert_eq!(receipt.digest().to_string(), case.digest, "{}", case.name);
        let proof = receipt.proof();
        let place = (proof.index(), proof.head().claimed().size);
        assert_eq!(place, (case.index, case.size), "{}", case.name);
    }
    each_is_refused(&vectors.refused, |text| {
        read(text, &keyset).err().map(|refused| error(&refused))
    });
}

#[test]
fn configurations_defer_signatures_where_the_second_implementation_says_so() {
    let vectors: LoggedVectors = vectors("logged-receipt.json");
    let (mut deferring, mut others) = (0, 0);
    for case in &vectors.configurations {
        let documents = BTreeMap::from([("config".to_owned(), case.config.clone())]);
        let found = signs_receipts_on_fetch(&keyset(&case.keyset_jcs), &documents);
        assert_eq!(found, case.signs_on_fetch, "{}", case.config);
        *if found { &mut deferring } else { &mut others } += 1;
    }
    assert!(deferring > 0 && others > 0);
}
