//! That the log tells of a report's own epoch: what a report carries as its document `log`.
//!
//! The extra data of the proof is the entry that says that the epoch began. It names the keyset, the
//! configuration, the retention policy and the key that signed the head. So a client that sees a
//! report knows that the contract in front of it is on record, without reading the log.

use super::proof_text::{LogProof, LogProofError};
use super::{Checkpoint, Entry, EpochStart, Fact};
use crate::aci::VerifyingKey;
use crate::digest::Sha256Digest;

/// A parsed proof of an epoch's beginning. Nothing in it has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochProof {
    proof: LogProof,
    claimed: EpochStart,
}

impl EpochProof {
    /// A proof about this entry, or nothing if it is of another type.
    pub fn new(proof: LogProof) -> Result<Self, LogProofError> {
        let entry = Entry::parse(&proof.extra)
            .map_err(|_| LogProofError::Text("the extra data is not an entry"))?;
        match entry.fact {
            Fact::EpochBegan(claimed) => Ok(Self { proof, claimed }),
            _ => Err(LogProofError::OtherEntry("not the beginning of an epoch")),
        }
    }

    /// Reads the text.
    pub fn parse(text: &[u8]) -> Result<Self, LogProofError> {
        Self::new(LogProof::parse(text)?)
    }

    /// The text.
    pub fn to_text(&self) -> String {
        self.proof.to_text()
    }

    /// The head. Its signature is not verified.
    pub fn claimed_head(&self) -> &Checkpoint {
        self.proof.head.claimed()
    }

    /// The head's note.
    pub fn head(&self) -> &super::SignedHead {
        &self.proof.head
    }

    /// The head, if this key, which must be one of the keyset's, signed it.
    pub fn verify_head(&self, key: &VerifyingKey) -> Result<Checkpoint, LogProofError> {
        Ok(self.proof.head.verify(key)?)
    }

    /// That the head's log tells of the epoch with this keyset, configuration and retention policy,
    /// and that heads in it are signed by this key.
    pub fn verify_epoch(
        &self,
        keyset: Sha256Digest,
        contract: Option<(Sha256Digest, Sha256Digest)>,
        key: &VerifyingKey,
    ) -> Result<&EpochStart, LogProofError> {
        let other = |what| Err(LogProofError::OtherEntry(what));
        if self.claimed.keyset != keyset {
            return other("of another keyset");
        }
        if self.claimed.key != *key {
            return other("it names another key");
        }
        if let Some((config, retention)) = contract {
            if self.claimed.config != config {
                return other("of another configuration");
            }
            if self.claimed.retention != retention {
                return other("of another retention policy");
            }
        }
        self.proof.included(&self.proof.extra)?;
        Ok(&self.claimed)
    }
}
