//! A complete receipt whose signature is made later, and what is remembered of it until then.

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

    /// The document, for its place until it is signed.
    pub fn into_bytes(self) -> Vec<u8> {
        self.jcs
    }

    /// What is needed to sign the document later, when it is read again.
    pub fn deferred(&self) -> DeferredSignature {
        DeferredSignature {
            digest: self.digest(),
            signature_goes_at: self.signature_goes_at,
        }
    }

    /// The signed document: the same one that [`ReceiptBody::sign`](super::ReceiptBody::sign) gives. `None`
    /// under another key than the one that the receipt names.
    pub fn sign(&self, key: &SigningKey) -> Option<String> {
        (key.key_id() == self.key_id).then(|| self.with_signature(&key.sign(&self.jcs)))
    }

    pub(super) fn with_signature(&self, signature: &[u8; 64]) -> String {
        with_signature_at(self.signature_goes_at, &self.jcs, signature)
    }
}

/// A signature that is made later, over a document that is kept elsewhere meanwhile.
///
/// It is made from an [`UnsignedReceipt`] and never read from bytes. A document is signed only if it has the same
/// digest, so it does not matter who could write to the place that it was kept at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeferredSignature {
    digest: Sha256Digest,
    signature_goes_at: usize,
}

impl DeferredSignature {
    /// SHA-256 of the document.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// The signed document: the same one that [`UnsignedReceipt::sign`] gives. `None` for any other document than the
    /// one that this was made from. The key must be the one that the receipt names.
    pub fn sign(&self, document: &[u8], key: &SigningKey) -> Option<String> {
        (Sha256Digest::hash(document) == self.digest).then(|| {
            let signature = key.sign(document);
            with_signature_at(self.signature_goes_at, document, &signature)
        })
    }
}

/// The document with its signature at this place.
fn with_signature_at(place: usize, document: &[u8], signature: &[u8; 64]) -> String {
    let (before, after) = document.split_at(place);
    let mut json = Vec::with_capacity(document.len() + 160);
    json.extend_from_slice(before);
    json.extend_from_slice(b"\"signature\":");
    json::write_string(&mut json, &to_hex(signature));
    json.push(b',');
    json.extend_from_slice(after);
    String::from_utf8(json).expect("JSON written from strings is UTF-8")
}
