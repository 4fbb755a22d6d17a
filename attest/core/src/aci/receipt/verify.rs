//! Verifying a receipt, and what a verified one can be asked (ACI/1 §9.3).

use super::{Event, Receipt, ReceiptBody, ReceiptError, parse::check_events};
use crate::{
    aci::{Keyset, VerifyingKey},
    digest::{SessionId, Sha256Digest},
};

pub(super) fn receipt(receipt: &Receipt, keyset: &Keyset) -> Result<VerifiedReceipt, ReceiptError> {
    verified(&receipt.body, &receipt.key_id, keyset, |key| {
        key.verify(&receipt.signed_jcs, &receipt.signature)
            .map_err(|_| ReceiptError::Signature)
    })
}

/// A receipt that names this keyset, with evidence that verifies under the key that it names there.
pub(crate) fn verified<E: From<ReceiptError>>(
    body: &ReceiptBody,
    key_id: &str,
    keyset: &Keyset,
    evidence: impl FnOnce(&VerifyingKey) -> Result<(), E>,
) -> Result<VerifiedReceipt, E> {
    let established = keyset.digest();
    let claimed = body.keyset_digest;
    if claimed != established {
        return Err(E::from(ReceiptError::KeysetDigestMismatch {
            claimed,
            established,
        }));
    }
    let key = keyset.receipt_key(key_id);
    evidence(&key.map_err(ReceiptError::SigningKey)?)?;
    check_events(&body.events)?; // a receipt just signed has not been through the parser
    Ok(VerifiedReceipt { body: body.clone() })
}

/// A receipt that was verified under the keyset it names. Only [`Receipt::verify`] and
/// [`LoggedReceipt::verify`](crate::LoggedReceipt::verify) make one.
///
/// ```compile_fail
/// # fn forge(body: attest_core::ReceiptBody) {
/// let forged = attest_core::VerifiedReceipt { body };
/// # }
/// ```
///
/// It proves that the holder of an attested key said this. That the cited session is good, and that the
/// request and response were these, are further questions.
#[derive(Debug, PartialEq, Eq)]
pub struct VerifiedReceipt {
    body: ReceiptBody,
}

/// What a receipt says about the upstream that served the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream<'a> {
    /// Nothing: a direct service has no upstream.
    NotMentioned,
    /// It was verified, and this session holds how.
    Verified {
        /// Did policy demand verification for this request?
        required: bool,
        /// The upstream's model.
        model_id: &'a str,
        /// The session.
        session_id: SessionId,
    },
    /// Its verification failed.
    Failed {
        /// Did policy demand verification? If so the prompt was not forwarded.
        required: bool,
        /// The model asked for upstream.
        model_id: &'a str,
        /// Why it failed.
        reason: &'a str,
    },
}

impl VerifiedReceipt {
    /// What it says.
    pub fn body(&self) -> &ReceiptBody {
        &self.body
    }

    /// Is it about the request with this body?
    pub fn matches_request(&self, observed: Sha256Digest) -> Result<(), ReceiptError> {
        let receipt = self.received();
        if receipt == observed {
            return Ok(());
        }
        Err(ReceiptError::RequestMismatch { receipt, observed })
    }

    /// Is it about the response with this body?
    pub fn matches_response(&self, observed: Sha256Digest) -> Result<(), ReceiptError> {
        let receipt = self.returned();
        if receipt == observed {
            return Ok(());
        }
        Err(ReceiptError::ResponseMismatch { receipt, observed })
    }

    /// Digest of the request body.
    pub fn received(&self) -> Sha256Digest {
        self.find(|event| match event {
            Event::RequestReceived { body_hash } => Some(*body_hash),
            _ => None,
        })
        .expect("a receipt without request.received does not verify")
    }

    /// Digest of what was used for inference, if anything was. Differing from
    /// [`received`](Self::received), it says that the service rewrote the request.
    pub fn forwarded(&self) -> Option<Sha256Digest> {
        self.find(|event| match event {
            Event::RequestForwarded { body_hash } => Some(*body_hash),
            _ => None,
        })
    }

    /// Digest of the response body.
    pub fn returned(&self) -> Sha256Digest {
        self.find(|event| match event {
            Event::ResponseReturned { body_hash } => Some(*body_hash),
            _ => None,
        })
        .expect("a receipt without response.returned does not verify")
    }

    /// The outcome of the last upstream verification, which is the one that the response stands on.
    pub fn upstream(&self) -> Upstream<'_> {
        let last = self.body.events.iter().rev().find_map(|event| match event {
            Event::UpstreamVerified {
                required,
                model_id,
                session_id,
            } => Some(Upstream::Verified {
                required: *required,
                model_id,
                session_id: *session_id,
            }),
            Event::UpstreamFailed {
                required,
                model_id,
                reason,
                ..
            } => Some(Upstream::Failed {
                required: *required,
                model_id,
                reason,
            }),
            _ => None,
        });
        last.unwrap_or(Upstream::NotMentioned)
    }

    fn find(&self, digest: impl Fn(&Event) -> Option<Sha256Digest>) -> Option<Sha256Digest> {
        self.body.events.iter().find_map(digest)
    }
}
