//! A complete receipt whose signature is made later.

use crate::{aci::SigningKey, digest::Sha256Digest, encoding::to_hex, json};

/// A receipt without its signature: canonical JSON, exactly the bytes that a signature is over.
///
/// It is made from a [`ReceiptBody`](super::ReceiptBody) and never read from bytes, so that no key signs a
/// receipt that came from a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsignedReceipt {
    pub(super) key_id: String,
    pub(super) jcs: Vec<u8>,
    pub(super) signature_goes_at: usize,
}

impl UnsignedReceipt {
    /// The document.
    pub fn bytes(&self) -> &[u8] {
        &self.jcs
    }

    /// SHA-256 of the document, by which the audit log names it.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::hash(&self.jcs)
    }

    /// The signed document: the same one that [`ReceiptBody::sign`](super::ReceiptBody::sign) gives. `None`
    /// under another key than the one that the receipt names.
    pub fn sign(&self, key: &SigningKey) -> Option<String> {
        (key.key_id() == self.key_id).then(|| self.with_signature(&key.sign(&self.jcs)))
    }

    pub(super) fn with_signature(&self, signature: &[u8; 64]) -> String {
        let (before, after) = self.jcs.split_at(self.signature_goes_at);
        let mut json = Vec::with_capacity(self.jcs.len() + 160);
        json.extend_from_slice(before);
        json.extend_from_slice(b"\"signature\":");
        json::write_string(&mut json, &to_hex(signature));
        json.push(b',');
        json.extend_from_slice(after);
        String::from_utf8(json).expect("JSON written from strings is UTF-8")
    }
}
