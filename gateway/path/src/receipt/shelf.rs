//! Receipts that are not kept: in memory, for a while, and gone with the process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;

use gateway_store::ledger::ReceiptRow;

/// Long enough for whoever asked to fetch it.
pub const SHELF_LIFE: Duration = Duration::from_secs(600);
/// Beyond this the oldest go first.
const PLACES: usize = 20_000;

#[derive(Default)]
pub struct Shelf(Mutex<Held>);

#[derive(Default)]
struct Held {
    receipts: HashMap<String, ReceiptRow>,
    /// Response id to receipt id of the newest such receipt.
    chats: HashMap<([u8; 32], String), String>,
    order: VecDeque<(Instant, String)>,
}

impl Shelf {
    pub fn put(&self, row: ReceiptRow) {
        let mut held = self.lock();
        held.clear_out(Instant::now());
        while held.order.len() >= PLACES {
            held.drop_oldest();
        }
        held.order
            .push_back((Instant::now(), row.receipt_id.clone()));
        if let Some(chat_id) = &row.chat_id {
            let key = (row.key_digest, chat_id.clone());
            held.chats.insert(key, row.receipt_id.clone());
        }
        held.receipts.insert(row.receipt_id.clone(), row);
    }

    pub fn get(&self, id: &str, key_digest: &[u8; 32]) -> Option<Bytes> {
        let mut held = self.lock();
        held.clear_out(Instant::now());
        let by_chat = held.chats.get(&(*key_digest, id.to_owned()));
        let row = held
            .receipts
            .get(id)
            .or_else(|| by_chat.and_then(|id| held.receipts.get(id)))?;
        (row.key_digest == *key_digest).then(|| row.json.clone())
    }

    /// Drops what has been there long enough.
    pub fn sweep(&self) {
        self.lock().clear_out(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Held {
    fn clear_out(&mut self, now: Instant) {
        while self
            .order
            .front()
            .is_some_and(|(since, _)| now.saturating_duration_since(*since) >= SHELF_LIFE)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((_, id)) = self.order.pop_front() else {
            return;
        };
        let Some(row) = self.receipts.remove(&id) else {
            return;
        };
        if let Some(chat_id) = row.chat_id {
            let key = (row.key_digest, chat_id);
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
    fn a_receipt_is_found_by_either_id_and_by_its_own_key_alone() {
        let shelf = Shelf::default();
        shelf.put(row("one", 1));
        shelf.put(row("two", 2));
        assert_eq!(shelf.get("one", &[1; 32]).as_deref(), Some(&b"one"[..]));
        assert_eq!(shelf.get("chat", &[2; 32]).as_deref(), Some(&b"two"[..]));
        assert_eq!(shelf.get("one", &[2; 32]), None);
        assert_eq!(shelf.get("chat", &[3; 32]), None);
    }

    #[test]
    fn after_its_time_nothing_of_it_is_left() {
        let shelf = Shelf::default();
        shelf.put(row("one", 1));
        let mut held = shelf.lock();
        held.clear_out(Instant::now() + SHELF_LIFE);
        assert!(held.receipts.is_empty() && held.chats.is_empty() && held.order.is_empty());
    }
}
