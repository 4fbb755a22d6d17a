//! Rows on their way to the database.
//!
//! Handing a row over is a push under a lock; the writer takes everything there is in one go. Receipts and sessions
//! stay findable here until they are committed. What is held is bounded: should the database refuse to take rows
//! for so long that the bound is met, the newest are given up and counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use attest_core::{SessionId, UnixTime};
use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::{Keep, ReceiptRow, SessionRow, UsageRow};

/// The most rows of one kind held.
const BOUND: usize = 100_000;

/// What the writer took to commit. Order within a kind is the order of arrival.
#[derive(Clone, Default)]
pub(super) struct Batch {
    pub usage: Vec<(UsageRow, Keep)>,
    pub receipts: Vec<(Arc<ReceiptRow>, UnixTime)>,
    pub sessions: Vec<Arc<SessionRow>>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.usage.is_empty() && self.receipts.is_empty() && self.sessions.is_empty()
    }
}

#[derive(Default)]
struct Held {
    next: Batch,
    /// Receipts not yet committed, by receipt id.
    receipts: HashMap<String, Arc<ReceiptRow>>,
    /// Response id to receipt id of the newest such receipt.
    chats: HashMap<([u8; 32], String), String>,
    sessions: HashMap<SessionId, Arc<SessionRow>>,
    /// How many batches were handed over to be committed before.
    handed_over: u64,
}

pub(super) struct Pending {
    held: Mutex<Held>,
    arrived: Notify,
    closed: AtomicBool,
    failing: AtomicBool,
    lost: AtomicU64,
    committed: watch::Sender<u64>,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
            arrived: Notify::new(),
            closed: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            committed: watch::Sender::new(0),
        }
    }
}

impl Pending {
    pub fn push_usage(&self, row: UsageRow, keep: Keep) {
        let mut held = self.lock();
        if held.next.usage.len() >= BOUND {
            return self.give_up();
        }
        held.next.usage.push((row, keep));
        drop(held);
        self.arrived.notify_one();
    }

    pub fn push_receipt(&self, row: ReceiptRow, until: UnixTime) {
        let row = Arc::new(row);
        let mut held = self.lock();
        if held.receipts.len() >= BOUND {
            return self.give_up();
        }
        if let Some(chat_id) = &row.chat_id {
            held.chats
                .insert((row.key_digest, chat_id.clone()), row.receipt_id.clone());
        }
        held.receipts.insert(row.receipt_id.clone(), row.clone());
        held.next.receipts.push((row, until));
        drop(held);
        self.arrived.notify_one();
    }

    pub fn push_session(&self, row: SessionRow) {
        let row = Arc::new(row);
        let mut held = self.lock();
        if held.sessions.len() >= BOUND {
            return self.give_up();
        }
        held.sessions.insert(row.id, row.clone());
        held.next.sessions.push(row);
        drop(held);
        self.arrived.notify_one();
    }

    pub fn receipt(&self, id: &str, key_digest: &[u8; 32]) -> Option<Bytes> {
        let held = self.lock();
        let by_chat = || {
            held.chats
                .get(&(*key_digest, id.to_owned()))
                .and_then(|id| held.receipts.get(id))
        };
        let row = held.receipts.get(id).or_else(by_chat)?;
        (row.key_digest == *key_digest).then(|| row.json.clone())
    }

    pub fn session(&self, id: &SessionId) -> Option<Bytes> {
        self.lock().sessions.get(id).map(|row| row.json.clone())
    }

    /// Notes whether the database takes rows.
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }

    /// Whether it refused the last ones, or rows had to be given up for want of room.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until there is something to commit, or until it is time to stop.
    pub async fn something(&self) {
        self.arrived.notified().await;
    }

    /// Everything that arrived since the last call.
    pub fn take(&self) -> Batch {
        let mut held = self.lock();
        let batch = std::mem::take(&mut held.next);
        held.handed_over += 1;
        batch
    }

    /// The batch taken last is in the database: it need not be found here any more.
    pub fn committed(&self, batch: &Batch) {
        let mut held = self.lock();
        for (row, _) in &batch.receipts {
            held.receipts.remove(&row.receipt_id);
            if let Some(chat_id) = &row.chat_id {
                let key = (row.key_digest, chat_id.clone());
                if held.chats.get(&key) == Some(&row.receipt_id) {
                    held.chats.remove(&key);
                }
            }
        }
        for row in &batch.sessions {
            held.sessions.remove(&row.id);
        }
        let handed_over = held.handed_over;
        drop(held);
        self.committed.send_replace(handed_over);
    }

    /// Waits until everything pushed before this call is committed.
    pub async fn flushed(&self) {
        // What is pushed by now is in the batch after those handed over.
        let wanted = self.lock().handed_over + 1;
        let mut committed = self.committed.subscribe();
        self.arrived.notify_one();
        let _ = committed.wait_for(|done| *done >= wanted).await;
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.arrived.notify_one();
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn give_up(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no holder of this lock panics")
    }
}
