//! A receipt that the audit log proves instead of a signature.
//!
//! A service that signs receipts when they are fetched may have erased the key by then. The document then has
//! no `signature` but `log_proof`: the text of a C2SP `tlog-proof` that the log contains it, under a head that
//! the epoch's key signed.

use serde_json::Value;

use crate::{
    aci::{
        self, DocumentError, Keyset, MAX_RECEIPT_BYTES, Members, Receipt, ReceiptBody,
        ReceiptError, VerifiedReceipt,
    },
    digest::Sha256Digest,
    json,
    log::{LogProofError, ReceiptProof},
};

const SIGNATURE: &str = "signature";
const LOG_PROOF: &str = "log_proof";

/// Why a receipt with a log proof was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoggedReceiptError {
    /// Not a receipt, or not of this keyset.
    #[error("{0}")]
    Receipt(#[from] ReceiptError),
    /// The audit log does not prove it.
    #[error("{0}")]
    Log(#[from] LogProofError),
}

impl From<DocumentError> for LoggedReceiptError {
    fn from(error: DocumentError) -> Self {
        Self::Receipt(error.into())
    }
}

/// A receipt with either kind of evidence. A document that has a signature is [`Signed`](Self::Signed), whatever
/// else it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptDocument {
    /// The service signed it.
    Signed(Box<Receipt>),
    /// The service entered it in its audit log.
    Logged(Box<LoggedReceipt>),
}

impl ReceiptDocument {
    /// Reads a receipt of at most [`MAX_RECEIPT_BYTES`]. Nothing is verified.
    pub fn parse(bytes: &[u8]) -> Result<Self, LoggedReceiptError> {
        let value = json::parse(bytes, MAX_RECEIPT_BYTES).map_err(DocumentError::from)?;
        if value.get(SIGNATURE).is_none() && value.get(LOG_PROOF).is_some() {
            return Ok(Self::Logged(Box::new(logged(value)?)));
        }
        Ok(Self::Signed(Box::new(Receipt::parse(bytes)?)))
    }

    /// What the receipt says, unverified.
    pub fn body(&self) -> &ReceiptBody {
        match self {
            Self::Signed(receipt) => receipt.body(),
            Self::Logged(receipt) => &receipt.body,
        }
    }

    /// The digest of the whole document without a log proof, and for a signed receipt also the one without its
    /// signature. The audit log names a receipt by either.
    pub fn logged_digests(&self) -> (Sha256Digest, Option<Sha256Digest>) {
        match self {
            Self::Signed(receipt) => {
                let unsigned = Sha256Digest::hash(receipt.signed_bytes());
                (receipt.digest(), Some(unsigned))
            }
            Self::Logged(receipt) => (receipt.digest(), None),
        }
    }
}

/// A receipt without a signature, and the proof that the audit log contains it. Parsing one verifies nothing;
/// [`LoggedReceipt::verify`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedReceipt {
    body: ReceiptBody,
    key_id: String,
    unsigned_jcs: Vec<u8>,
    proof: ReceiptProof,
    json: String,
}

impl LoggedReceipt {
    /// The document that has this proof in place of a signature. Nothing is verified.
    pub fn new(unsigned: &[u8], proof: &ReceiptProof) -> Result<Self, LoggedReceiptError> {
        let mut value = json::parse(unsigned, MAX_RECEIPT_BYTES).map_err(DocumentError::from)?;
        if let Value::Object(members) = &mut value {
            members.insert(LOG_PROOF.to_owned(), Value::String(proof.to_text()));
        }
        logged(value)
    }

    /// Whether this is a receipt's document without a signature.
    pub fn is_unsigned(document: &[u8]) -> bool {
        json::parse(document, MAX_RECEIPT_BYTES).is_ok_and(|value| value.get(SIGNATURE).is_none())
    }

    /// What the receipt says, unverified.
    pub fn body(&self) -> &ReceiptBody {
        &self.body
    }

    /// The id of the key that is said to have signed the log's head.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The digest by which the audit log names it: SHA-256 of its canonical form without the proof.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::hash(&self.unsigned_jcs)
    }

    /// The proof, unverified.
    pub fn proof(&self) -> &ReceiptProof {
        &self.proof
    }

    /// The document in its canonical form.
    pub fn to_json(&self) -> String {
        self.json.clone()
    }

    /// Verifies the receipt under an established keyset: it names this keyset, the key that `key_id` names there
    /// signed the head, and the log of that head contains the receipt.
    ///
    /// It does not show that the service signs receipts when they are fetched, which its configuration says
    /// ([`signs_receipts_on_fetch`](crate::signs_receipts_on_fetch)): of any other service, such a receipt is
    /// not to be accepted.
    pub fn verify(&self, keyset: &Keyset) -> Result<VerifiedReceipt, LoggedReceiptError> {
        aci::verified(&self.body, &self.key_id, keyset, |key| {
            self.proof.verify_head(key)?;
            Ok(self.proof.verify_inclusion(&self.digest())?)
        })
    }
}

fn logged(mut value: Value) -> Result<LoggedReceipt, LoggedReceiptError> {
    let document = Members::new(&value, "")?;
    let (body, key_id) = aci::members(&document)?;
    let proof = ReceiptProof::parse(document.string(LOG_PROOF)?.as_bytes())?;
    let json = String::from_utf8(json::canonical_bytes(&value))
        .expect("canonical JSON of strings is UTF-8");
    if let Value::Object(members) = &mut value {
        members.remove(LOG_PROOF);
    }
    Ok(LoggedReceipt {
        body,
        key_id,
        unsigned_jcs: json::canonical_bytes(&value),
        proof,
        json,
    })
}
