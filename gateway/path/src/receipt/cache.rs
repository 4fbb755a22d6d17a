//! Receipts that the policy does not keep: in memory, for a limited time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;

use gateway_base::lock::lock;
use gateway_store::ledger::ReceiptRow;

/// Long enough for the client to fetch it.
const CACHE_TTL: Duration = Duration::from_secs(600);
/// Beyond this number the oldest are removed.
const MAX_RECEIPTS: usize = 20_000;

/// Receipts of the last [`CACHE_TTL`]. The lock is held for single operations, never across an await.
#[derive(Default)]
pub struct ReceiptCache(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    receipts: HashMap<String, ReceiptRow>,
    /// Key digest and response id to receipt id, of the newest such receipt.
    chats: HashMap<([u8; 32], String), String>,
    /// Every receipt's id with the time of its insertion, oldest first.
    order: VecDeque<(Instant, String)>,
}

impl ReceiptCache {
    pub fn put(&self, row: ReceiptRow) {
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

    pub fn get(&self, id: &str, key_digest: &[u8; 32]) -> Option<Bytes> {
        let mut entries = self.lock();
        entries.remove_expired(Instant::now());
        let by_chat = entries.chats.get(&(*key_digest, id.to_owned()));
        let row = entries
            .receipts
            .get(id)
            .or_else(|| by_chat.and_then(|id| entries.receipts.get(id)))?;
        (row.key_digest == *key_digest).then(|| row.json.clone())
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
    use attest_core::UnixTime;

    fn row(id: &str, key: u8) -> ReceiptRow {
        ReceiptRow {
            receipt_id: id.to_owned(),
            chat_id: Some("chat".to_owned()),
            key_digest: [key; 32],
            json: Bytes::from(id.to_owned()),
            served_at: UnixTime::from_secs(1),
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
        let mut entries = cache.lock();
        entries.remove_expired(Instant::now() + CACHE_TTL);
        assert!(
            entries.receipts.is_empty() && entries.chats.is_empty() && entries.order.is_empty()
        );
    }
}
