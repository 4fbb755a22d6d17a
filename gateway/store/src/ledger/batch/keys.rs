//! Where the receipts and sessions of a batch are in its body, by the hashes of their ids.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Where receipts and sessions are in a body: a hash of what they are found by, and their place.
#[derive(Default)]
pub(in crate::ledger) struct Keys(Vec<(u64, u32)>);

impl Keys {
    pub(super) fn push(&mut self, hash: u64, place: u32) {
        self.0.push((hash, place));
    }

    /// The places of what may be found by this hash, the newest first.
    pub fn places(&self, hash: u64) -> impl Iterator<Item = u32> {
        let found = self.0.iter().rev();
        found.filter_map(move |(key, place)| (*key == hash).then_some(*place))
    }

    /// The same, sorted.
    pub fn sorted(&self) -> Self {
        let mut keys = self.0.clone();
        keys.sort_unstable();
        Self(keys)
    }

    /// Like [`places`](Self::places), of sorted keys.
    pub fn sorted_places(&self, hash: u64) -> impl Iterator<Item = u32> {
        let first = self.0.partition_point(|(key, _)| *key < hash);
        let same = self.0[first..]
            .iter()
            .take_while(move |(key, _)| *key == hash);
        let places: Vec<u32> = same.map(|(_, place)| *place).collect();
        places.into_iter().rev()
    }
}

/// What a receipt is found by: its own id, or the response's, together with its API key.
pub(in crate::ledger) fn receipt_key(id: &str, key_digest: &[u8; 32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, key_digest).hash(&mut hasher);
    hasher.finish()
}

pub(in crate::ledger) fn session_key(id: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
