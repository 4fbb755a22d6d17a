//! The log as one epoch shows it: heads signed with its key, as long as it is in force.
//!
//! When the next epoch begins, what this one shows stops: connections that still belong to it see the
//! last head of its time.

use std::sync::{Arc, Mutex, PoisonError};

use attest_core::SigningKey;
use attest_core::log::{Checkpoint, Entry, SignedHead};
use attest_core::{Sha256Digest, VerifyingKey};

/// An epoch's heads.
pub struct EpochLog {
    pub(super) signing_key: Arc<SigningKey>,
    pub(super) epoch: u64,
    pub(super) keyset: Sha256Digest,
    /// Where its beginning was entered.
    pub(super) index: u64,
    pub(super) entry: Entry,
    published: Mutex<Published>,
}

/// What is shown: a committed head, and the proof that it tells of this epoch.
#[derive(Clone)]
pub(super) struct Published {
    pub head: SignedHead,
    pub proof: Arc<str>,
}

impl EpochLog {
    pub(super) fn new(
        signing_key: Arc<SigningKey>,
        (epoch, keyset): (u64, Sha256Digest),
        (index, entry): (u64, Entry),
        published: Published,
    ) -> Self {
        Self {
            signing_key,
            epoch,
            keyset,
            index,
            entry,
            published: Mutex::new(published),
        }
    }

    /// The newest head that was committed while this epoch was in force.
    pub fn head(&self) -> SignedHead {
        self.published().head
    }

    /// What a report of this epoch carries as its document `log`: that head, and that the log tells of
    /// the epoch.
    pub fn document(&self) -> Arc<str> {
        self.published().proof
    }

    /// What its heads verify under.
    pub fn head_key(&self) -> VerifyingKey {
        self.signing_key.verifying_key()
    }

    pub(super) fn size(&self) -> u64 {
        self.head().claimed().size
    }

    pub(super) fn sign(&self, checkpoint: &Checkpoint) -> SignedHead {
        checkpoint.sign(&self.signing_key)
    }

    pub(super) fn publish(&self, published: Published) {
        *self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = published;
    }

    fn published(&self) -> Published {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
