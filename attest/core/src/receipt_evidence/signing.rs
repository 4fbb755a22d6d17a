//! When a service signs its receipts, as its published configuration says.

use std::collections::BTreeMap;

use crate::{aci::Keyset, digest::Sha256Digest, json, profile::Subject};

/// Configuration documents are short texts.
const MAX_DOCUMENT: usize = 1 << 20;

/// Whether a service signs receipts when they are fetched, so that one that was never fetched may be proven by
/// the audit log instead ([`LoggedReceipt`](crate::LoggedReceipt)).
///
/// `documents` are those of the report. Its configuration counts only if it is the one that the keyset's subject
/// names; a service that says nothing signs every receipt.
pub fn signs_receipts_on_fetch(keyset: &Keyset, documents: &BTreeMap<String, String>) -> bool {
    let subject = keyset.subject.as_deref().map(Subject::parse);
    let (Some(Ok(subject)), Some(text)) = (subject, documents.get("config")) else {
        return false;
    };
    if Sha256Digest::hash(text.as_bytes()) != subject.config {
        return false;
    }
    json::parse(text.as_bytes(), MAX_DOCUMENT)
        .is_ok_and(|config| config["receipts"]["sign"] == "on_fetch")
}
