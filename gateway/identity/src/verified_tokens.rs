//! Tokens that were verified, by their SHA-256, so that a token is verified once and not for every request.
//!
//! An entry is used while the issuer's key set is the one that it was verified with, and while the token is valid.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use attest_core::UnixTime;

use crate::VerifiedToken;
use gateway_base::lock;

/// The most entries. A full cache is emptied: expired entries first, and all if none has expired.
const MAX_ENTRIES: usize = 16_384;

/// A verified token, its issuer's place in the list of issuers, and the generation of the keys.
pub(crate) struct Entry {
    pub(crate) token: Arc<VerifiedToken>,
    pub(crate) issuer: usize,
    pub(crate) generation: u64,
}

#[derive(Default)]
pub(crate) struct VerifiedTokens {
    /// Held for one look-up or one insertion; only an insertion into a full cache takes longer.
    entries: RwLock<HashMap<[u8; 32], Arc<Entry>>>,
}

impl VerifiedTokens {
    pub(crate) fn get(&self, digest: &[u8; 32]) -> Option<Arc<Entry>> {
        lock::read(&self.entries).get(digest).cloned()
    }

    pub(crate) fn insert(&self, digest: [u8; 32], entry: Entry, now: UnixTime) {
        let mut entries = lock::write(&self.entries);
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, entry| entry.token.validity.check(now.secs()).is_ok());
        }
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        entries.insert(digest, Arc::new(entry));
    }
}
