//! Inference receipts: what happened to one request, signed (ACI/1 §7).
//!
//! A receipt holds hashes, names and times, never a body. It proves what the attested code *said* it
//! received, forwarded and returned; `served_at` is that code's own clock.

mod body;
mod event;
mod parse;
mod unsigned;
mod verify;

pub use body::ReceiptBody;
pub use event::{Event, OtherEvent};
pub(crate) use parse::members;
pub use unsigned::{DeferredSignature, UnsignedReceipt};
pub(crate) use verify::verified;
pub use verify::{Upstream, VerifiedReceipt};

use super::{DocumentError, Keyset, KeysetError};
use crate::digest::Sha256Digest;
use crate::quoted::QuotedOrNone;

/// A receipt may be this long.
pub const MAX_RECEIPT_BYTES: usize = 64 * 1024;

/// A signed receipt. Parsing one verifies nothing; [`Receipt::verify`] does.
///
/// ```
/// use attest_core::{Event, Receipt, ReceiptBody, Sha256Digest, SigningKey, UnixTime};
/// # use attest_core::Keyset;
/// let key = SigningKey::from_seed("receipt-1", &[2; 32]).unwrap();
/// # let keyset = Keyset {
/// #     subject: None,
/// #     not_after: UnixTime::from_secs(1_800_000_000),
/// #     receipt_signing_keys: vec![key.public_entry()],
/// #     e2ee_public_keys: vec![],
/// #     tls_public_keys: vec![],
/// # };
/// let receipt = ReceiptBody {
///     receipt_id: "rcpt-1".into(),
///     chat_id: None,
///     model: Some("demo".into()),
///     keyset_digest: keyset.digest(),
///     endpoint: "/v1/chat/completions".into(),
///     method: "POST".into(),
///     served_at: UnixTime::from_secs(1_750_000_000),
///     events: vec![
///         Event::RequestReceived { body_hash: Sha256Digest::hash(b"request") },
///         Event::ResponseReturned { body_hash: Sha256Digest::hash(b"response") },
///     ],
/// }
/// .sign(&key);
/// let parsed = Receipt::parse(receipt.to_json().as_bytes()).unwrap();
/// let verified = parsed.verify(&keyset).unwrap();
/// assert_eq!(verified.matches_request(Sha256Digest::hash(b"request")), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    body: ReceiptBody,
    key_id: String,
    signature: [u8; 64],
    signed_jcs: Vec<u8>,
    json: String,
}

/// Why a receipt was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not a receipt document.
    #[error("receipt: {0}")]
    Document(#[from] DocumentError),
    /// The first event is not `request.received` (§7.3).
    #[error("the first event is {}, not \"request.received\"", QuotedOrNone(found))]
    FirstEvent {
        /// Its type, if there is an event at all.
        found: Option<String>,
    },
    /// An event that can happen once is there twice.
    #[error("more than one {event} event")]
    RepeatedEvent {
        /// Its type.
        event: &'static str,
    },
    /// An event that every receipt has is not there.
    #[error("no {event} event")]
    MissingEvent {
        /// Its type.
        event: &'static str,
    },
    /// An event of one's own may not use a type that is already defined.
    #[error("the event type {event:?} is already defined")]
    ReservedEvent {
        /// Its type.
        event: String,
    },
    /// Made under another keyset than the established one.
    #[error("the receipt belongs to keyset {claimed}, not to {established}")]
    KeysetDigestMismatch {
        /// What the receipt says.
        claimed: Sha256Digest,
        /// The keyset it was to be verified under.
        established: Sha256Digest,
    },
    /// `key_id` names no usable key.
    #[error("receipt: {0}")]
    SigningKey(KeysetError),
    /// The signature does not verify.
    #[error("the receipt's signature does not verify")]
    Signature,
    /// The receipt is for another request body.
    #[error("the receipt is for the request {receipt}, not {observed}")]
    RequestMismatch {
        /// Digest in the receipt.
        receipt: Sha256Digest,
        /// Digest of the body at hand.
        observed: Sha256Digest,
    },
    /// The receipt is for another response body.
    #[error("the receipt is for the response {receipt}, not {observed}")]
    ResponseMismatch {
        /// Digest in the receipt.
        receipt: Sha256Digest,
        /// Digest of the body at hand.
        observed: Sha256Digest,
    },
}

impl Receipt {
    /// Reads a receipt of at most [`MAX_RECEIPT_BYTES`]. Members and events we do not know are kept:
    /// the signature covers them.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        parse::receipt(bytes)
    }

    /// What the receipt says, unverified.
    pub fn body(&self) -> &ReceiptBody {
        &self.body
    }

    /// The same, without the rest.
    pub fn into_body(self) -> ReceiptBody {
        self.body
    }

    /// The id of the key that is said to have signed.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The bytes that the signature is over: the canonical form without `signature`.
    pub fn signed_bytes(&self) -> &[u8] {
        &self.signed_jcs
    }

    /// The signature.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// The whole receipt in its canonical form.
    pub fn to_json(&self) -> String {
        self.json.clone()
    }

    /// SHA-256 of that form. The audit log names a receipt by it, or by the SHA-256 of the
    /// [signed bytes](Self::signed_bytes) where the signature is made later.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::hash(self.json.as_bytes())
    }

    /// Verifies the receipt under an established keyset (§9.3, steps 1 and 2): it names this keyset,
    /// and its signature verifies under the key that `key_id` names there. Whether the keyset may
    /// still be used at the time of asking is for the caller's policy.
    pub fn verify(&self, keyset: &Keyset) -> Result<VerifiedReceipt, ReceiptError> {
        verify::receipt(self, keyset)
    }
}
