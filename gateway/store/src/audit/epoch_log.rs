//! The log as published by one epoch: heads signed with its key while it is active.
//!
//! After the next epoch has begun, this one publishes no further head: its remaining connections see its last head.

use std::sync::{Arc, Mutex};

use attest_core::SigningKey;
use attest_core::log::{Checkpoint, Entry, SignedHead};
use attest_core::{Sha256Digest, VerifyingKey};

use gateway_base::lock::lock;

/// An epoch's heads.
pub struct EpochLog {
    pub(super) signing_key: Arc<SigningKey>,
    pub(super) epoch: u64,
    pub(super) keyset: Sha256Digest,
    /// The index of the entry of its beginning.
    pub(super) index: u64,
    pub(super) entry: Entry,
    // The writer task replaces it after each commit; requests copy it. Both hold the lock for a moment only.
    published: Mutex<Published>,
}

/// A committed head, and the proof that it includes this epoch's beginning.
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

    /// The newest head that was committed while this epoch was active.
    pub fn head(&self) -> SignedHead {
        self.published().head
    }

    /// The document `log` of this epoch's reports: that head, and the proof that the log includes the epoch's beginning.
    pub fn document(&self) -> Arc<str> {
        self.published().proof
    }

    /// The public key that verifies its heads.
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
        *lock(&self.published) = published;
    }

    fn published(&self) -> Published {
        lock(&self.published).clone()
    }
}
