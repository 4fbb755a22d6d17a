//! Receipts in memory, for a limited time: those that the policy does not keep.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;

use gateway_base::lock::lock;

/// Long enough for the client to fetch it.
pub(super) const CACHE_TTL: Duration = Duration::from_secs(600);
/// Beyond this number the oldest are removed.
pub(super) const MAX_RECEIPTS: usize = 20_000;

/// Receipts of the last [`CACHE_TTL`]. The lock is held for single operations, never across an await.
pub struct ReceiptCache(Mutex<Entries>);

/// A receipt and what is needed to find it.
pub struct CachedReceipt {
    pub receipt_id: String,
    pub chat_id: Option<String>,
    pub key_digest: [u8; 32],
    pub receipt: Bytes,
}

struct Entries {
    /// In order of their insertion, each with its time.
    receipts: VecDeque<(Instant, CachedReceipt)>,
    /// The number of the first of them: how many were removed.
    first: u64,
    /// The numbers of receipts, by hashes of what they are found by. Of one response id, the newest.
    numbers: HashMap<u64, u64>,
    hashes: RandomState,
}

impl CachedReceipt {
    fn ids(&self) -> impl Iterator<Item = &str> {
        [Some(&*self.receipt_id), self.chat_id.as_deref()]
            .into_iter()
            .flatten()
    }
}

impl Default for ReceiptCache {
    fn default() -> Self {
        Self(Mutex::new(Entries {
            receipts: VecDeque::new(),
            first: 0,
            numbers: HashMap::new(),
            hashes: RandomState::new(),
        }))
    }
}

impl ReceiptCache {
    pub fn put(&self, receipt: CachedReceipt) {
        let now = Instant::now();
        let mut entries = self.lock();
        entries.remove_expired(now);
        while entries.receipts.len() >= MAX_RECEIPTS {
            entries.remove_oldest();
        }
        let number = entries.first + entries.receipts.len() as u64;
        for id in receipt.ids() {
            let hash = entries.hash(id, &receipt.key_digest);
            entries.numbers.insert(hash, number);
        }
        entries.receipts.push_back((now, receipt));
    }

    pub fn get(&self, id: &str, key_digest: &[u8; 32]) -> Option<Bytes> {
        let mut entries = self.lock();
        entries.remove_expired(Instant::now());
        let number = entries.numbers.get(&entries.hash(id, key_digest))?;
        let place = usize::try_from(number - entries.first).ok()?;
        let (_, receipt) = entries.receipts.get(place)?;
        let found = receipt.key_digest == *key_digest && receipt.ids().any(|other| other == id);
        found.then(|| receipt.receipt.clone())
    }

    /// Removes expired receipts.
    pub fn sweep(&self) {
        self.lock().remove_expired(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        lock(&self.0)
    }
}

impl Entries {
    fn hash(&self, id: &str, key_digest: &[u8; 32]) -> u64 {
        self.hashes.hash_one((id, key_digest))
    }

    fn remove_expired(&mut self, now: Instant) {
        while self
            .receipts
            .front()
            .is_some_and(|(since, _)| now.saturating_duration_since(*since) >= CACHE_TTL)
        {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        let Some((_, receipt)) = self.receipts.pop_front() else {
            return;
        };
        for id in receipt.ids() {
            // A newer receipt may have taken over the response id; its number stays.
            if let Entry::Occupied(number) = self
                .numbers
                .entry(self.hashes.hash_one((id, &receipt.key_digest)))
                && *number.get() == self.first
            {
                number.remove();
            }
        }
        self.first += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, key: u8) -> CachedReceipt {
        CachedReceipt {
            receipt_id: id.to_owned(),
            chat_id: Some("chat".to_owned()),
            key_digest: [key; 32],
            receipt: Bytes::copy_from_slice(id.as_bytes()),
        }
    }

    #[test]
    fn finds_a_receipt_by_either_id_for_its_key_only() {
        let cache = ReceiptCache::default();
        cache.put(row("one", 1));
        cache.put(row("two", 2));
        assert_eq!(cache.get("one", &[1; 32]).as_deref(), Some(&b"one"[..]));
        assert_eq!(cache.get("chat", &[2; 32]).as_deref(), Some(&b"two"[..]));
        assert_eq!(cache.get("one", &[2; 32]), None);
        assert_eq!(cache.get("chat", &[3; 32]), None);
    }

    #[test]
    fn an_expired_receipt_is_removed_completely() {
        let cache = ReceiptCache::default();
        cache.put(row("one", 1));
        cache.put(row("two", 1));
        let mut entries = cache.lock();
        entries.remove_oldest();
        let hash = entries.hash("chat", &[1; 32]);
        assert_eq!(
            entries.numbers.get(&hash),
            Some(&1),
            "a newer receipt has it"
        );
        entries.remove_expired(Instant::now() + CACHE_TTL);
        assert!(entries.receipts.is_empty() && entries.numbers.is_empty());
    }
}
