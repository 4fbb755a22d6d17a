//! Receipts in memory, for a limited time: those that the policy does not keep, and those that are not signed yet.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gateway_base::lock::lock;

/// Long enough for the client to fetch it.
pub(super) const CACHE_TTL: Duration = Duration::from_secs(600);
/// Beyond this number the oldest are removed.
const MAX_RECEIPTS: usize = 20_000;

/// Receipts of the last [`CACHE_TTL`]. The lock is held for single operations, never across an await.
pub struct ReceiptCache<T>(Mutex<Entries<T>>);

/// A receipt and what is needed to find it.
pub struct CachedReceipt<T> {
    pub receipt_id: String,
    pub chat_id: Option<String>,
    pub key_digest: [u8; 32],
    pub receipt: T,
}

struct Entries<T> {
    receipts: HashMap<String, CachedReceipt<T>>,
    /// Key digest and response id to receipt id, of the newest such receipt.
    chats: HashMap<([u8; 32], String), String>,
    /// Every receipt's id with the time of its insertion, oldest first.
    order: VecDeque<(Instant, String)>,
}

impl<T> Default for ReceiptCache<T> {
    fn default() -> Self {
        Self(Mutex::new(Entries {
            receipts: HashMap::new(),
            chats: HashMap::new(),
            order: VecDeque::new(),
        }))
    }
}

impl<T: Clone> ReceiptCache<T> {
    pub fn put(&self, row: CachedReceipt<T>) {
        let mut entries = self.lock();
        entries.remove_expired(Instant::now());
        while entries.order.len() >= MAX_RECEIPTS {
            entries.remove_oldest();
        }
        entries
            .order
            .push_back((Instant::now(), row.receipt_id.clone()));
        if let Some(chat_id) = &row.chat_id {
            let key = (row.key_digest, chat_id.clone());
            entries.chats.insert(key, row.receipt_id.clone());
        }
        entries.receipts.insert(row.receipt_id.clone(), row);
    }

    pub fn get(&self, id: &str, key_digest: &[u8; 32]) -> Option<T> {
        let mut entries = self.lock();
        entries.remove_expired(Instant::now());
        let by_chat = entries.chats.get(&(*key_digest, id.to_owned()));
        let row = entries
            .receipts
            .get(id)
            .or_else(|| by_chat.and_then(|id| entries.receipts.get(id)))?;
        (row.key_digest == *key_digest).then(|| row.receipt.clone())
    }

    /// Removes expired receipts.
    pub fn sweep(&self) {
        self.lock().remove_expired(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Entries<T>> {
        lock(&self.0)
    }
}

impl<T> Entries<T> {
    fn remove_expired(&mut self, now: Instant) {
        while self
            .order
            .front()
            .is_some_and(|(since, _)| now.saturating_duration_since(*since) >= CACHE_TTL)
        {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        let Some((_, id)) = self.order.pop_front() else {
            return;
        };
        let Some(row) = self.receipts.remove(&id) else {
            return;
        };
        if let Some(chat_id) = row.chat_id {
            let key = (row.key_digest, chat_id);
            // A newer receipt may have taken over the response id; its entry stays.
            if self.chats.get(&key) == Some(&id) {
                self.chats.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, key: u8) -> CachedReceipt<String> {
        CachedReceipt {
            receipt_id: id.to_owned(),
            chat_id: Some("chat".to_owned()),
            key_digest: [key; 32],
            receipt: id.to_owned(),
        }
    }

    #[test]
    fn finds_a_receipt_by_either_id_for_its_key_only() {
        let cache = ReceiptCache::default();
        cache.put(row("one", 1));
        cache.put(row("two", 2));
        assert_eq!(cache.get("one", &[1; 32]).as_deref(), Some("one"));
        assert_eq!(cache.get("chat", &[2; 32]).as_deref(), Some("two"));
        assert_eq!(cache.get("one", &[2; 32]), None);
        assert_eq!(cache.get("chat", &[3; 32]), None);
    }

    #[test]
    fn an_expired_receipt_is_removed_completely() {
        let cache = ReceiptCache::default();
        cache.put(row("one", 1));
        let mut entries = cache.lock();
        entries.remove_expired(Instant::now() + CACHE_TTL);
        assert!(
            entries.receipts.is_empty() && entries.chats.is_empty() && entries.order.is_empty()
        );
    }
}
