//! The ledger's write-behind queue, in order of arrival.
//!
//! A push takes a lock briefly and never waits. The writer reads the first rows, and removes them after they were
//! committed or dropped. Until then receipts and sessions are found here. The queue is bounded: while the database fails
//! and the queue is full, new rows are dropped and counted.
//!
//! It shares no type with the audit log's [queue](crate::audit), which is another structure: here each row keeps its place
//! and is found by its id until it is removed, and a row that the database refuses is dropped alone. There, refusals and
//! losses are sums that are merged into one entry, a batch is entered as a whole or not at all, and some callers wait for
//! an answer. A common part would be a bounded list and a wake-up, which are a few lines of each.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::{ReceiptRow, SessionRow};
use crate::audit::Losses;
use attest_core::{SessionId, UnixTime};
use gateway_base::lock::lock;
use gateway_base::metering::{RowRetention, UsageRow};

/// A queued row.
#[derive(Clone)]
pub(super) enum Row {
    Usage(Arc<(UsageRow, RowRetention)>),
    Receipt(Arc<ReceiptRow>, UnixTime),
    Session(Arc<SessionRow>),
}

/// What kind of row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowKind {
    Usage,
    Receipt,
    Session,
}

impl RowKind {
    /// Its name in the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            RowKind::Usage => "usage",
            RowKind::Receipt => "receipts",
            RowKind::Session => "sessions",
        }
    }
}

impl Row {
    pub fn kind(&self) -> RowKind {
        match self {
            Row::Usage(_) => RowKind::Usage,
            Row::Receipt(..) => RowKind::Receipt,
            Row::Session(_) => RowKind::Session,
        }
    }
}

/// Rows counted by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    pub usage: u64,
    pub receipts: u64,
    pub sessions: u64,
}

impl RowCounts {
    pub fn total(&self) -> u64 {
        self.usage + self.receipts + self.sessions
    }

    /// Each kind by its name in the audit log.
    pub fn by_kind(&self) -> [(&'static str, u64); 3] {
        [
            (RowKind::Usage.as_str(), self.usage),
            (RowKind::Receipt.as_str(), self.receipts),
            (RowKind::Session.as_str(), self.sessions),
        ]
    }

    fn add(&mut self, kind: RowKind) {
        match kind {
            RowKind::Usage => self.usage += 1,
            RowKind::Receipt => self.receipts += 1,
            RowKind::Session => self.sessions += 1,
        }
    }
}

/// The queue is full; a row of this kind was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull(pub RowKind);

/// Counts a row that did not fit into the queue, for the audit log.
pub(super) fn count_loss(pushed: Result<(), QueueFull>, losses: &Losses) {
    if let Err(QueueFull(kind)) = pushed {
        losses.row(kind.as_str());
    }
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Row, Instant)>,
    /// Receipts in the queue, by receipt id.
    receipts: HashMap<String, Arc<ReceiptRow>>,
    /// Response id to receipt id of the newest such receipt.
    chats: HashMap<([u8; 32], String), String>,
    sessions: HashMap<SessionId, Arc<SessionRow>>,
    /// How many rows were pushed since the start.
    pushed: u64,
    /// How many of them were removed: committed or dropped.
    removed: u64,
    /// Dropped rows that were not reported yet.
    unreported: RowCounts,
    /// When the service began to stop.
    closed: Option<Instant>,
}

/// Requests push, one writer task removes.
pub(super) struct RowQueue {
    capacity: usize,
    // Held for pushes, lookups and removals; never across an await or a database call.
    state: Mutex<State>,
    // Wakes the writer, the only waiter.
    arrived: Notify,
    // Read by metrics without the lock.
    lost: AtomicU64,
    // Publishes `State::removed` to callers of `flushed`.
    removed: watch::Sender<u64>,
}

impl RowQueue {
    /// A queue of at most `capacity` rows.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
            arrived: Notify::new(),
            lost: AtomicU64::new(0),
            removed: watch::Sender::new(0),
        }
    }

    pub fn push_usage(&self, row: UsageRow, retention: RowRetention) -> Result<(), QueueFull> {
        self.push(Row::Usage(Arc::new((row, retention))))
    }

    pub fn push_receipt(&self, row: ReceiptRow, until: UnixTime) -> Result<(), QueueFull> {
        self.push(Row::Receipt(Arc::new(row), until))
    }

    pub fn push_session(&self, row: SessionRow) -> Result<(), QueueFull> {
        self.push(Row::Session(Arc::new(row)))
    }

    fn push(&self, row: Row) -> Result<(), QueueFull> {
        let mut state = self.lock();
        if state.queue.len() >= self.capacity {
            let kind = row.kind();
            state.unreported.add(kind);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Err(QueueFull(kind));
        }
        state.index(&row);
        state.queue.push_back((row, Instant::now()));
        state.pushed += 1;
        // Before the wake-up: the writer takes the lock first of all.
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    pub fn receipt(&self, id: &str, key_digest: &[u8; 32]) -> Option<Bytes> {
        let state = self.lock();
        let by_chat = || {
            state
                .chats
                .get(&(*key_digest, id.to_owned()))
                .and_then(|id| state.receipts.get(id))
        };
        let row = state.receipts.get(id).or_else(by_chat)?;
        (row.key_digest == *key_digest).then(|| row.json.clone())
    }

    pub fn session(&self, id: &SessionId) -> Option<Bytes> {
        self.lock().sessions.get(id).map(|row| row.json.clone())
    }

    /// The number of queued rows, and the age of the oldest.
    pub fn waiting(&self) -> (usize, Duration) {
        let state = self.lock();
        let oldest = state.queue.front().map(|(_, since)| since.elapsed());
        (state.queue.len(), oldest.unwrap_or_default())
    }

    /// How many rows were dropped.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The dropped rows since the last call.
    pub fn take_unreported(&self) -> RowCounts {
        std::mem::take(&mut self.lock().unreported)
    }

    /// Waits until there are rows, or until the queue is closed.
    pub async fn wait_for_work(&self) {
        loop {
            // Created before the check: a push in between still wakes this task.
            let arrived = self.arrived.notified();
            if !self.lock().queue.is_empty() || self.closed_for().is_some() {
                return;
            }
            arrived.await;
        }
    }

    /// The first rows, at most `max`. They stay in the queue until they are removed.
    pub fn first(&self, max: usize) -> Vec<Row> {
        let state = self.lock();
        let rows = state.queue.iter().take(max);
        rows.map(|(row, _)| row.clone()).collect()
    }

    /// Removes the first `count` rows, which were committed.
    pub fn committed(&self, count: usize) {
        let mut state = self.lock();
        for _ in 0..count {
            state.remove_first();
        }
        self.publish_removed(state);
    }

    /// Drops the first row, which the database refuses. Returns its kind.
    pub fn lose_first(&self) -> Option<RowKind> {
        let mut state = self.lock();
        let kind = state.remove_first()?.kind();
        state.unreported.add(kind);
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.publish_removed(state);
        Some(kind)
    }

    /// Drops the remaining rows after the writer has stopped. Returns how many of each kind.
    pub fn drop_rest(&self) -> RowCounts {
        let mut state = self.lock();
        let mut dropped = RowCounts::default();
        while let Some(row) = state.remove_first() {
            dropped.add(row.kind());
        }
        self.lost.fetch_add(dropped.total(), Ordering::Relaxed);
        self.publish_removed(state);
        dropped
    }

    /// Publishes the number of removed rows, after releasing the lock.
    fn publish_removed(&self, state: MutexGuard<'_, State>) {
        let removed = state.removed;
        drop(state);
        self.removed.send_replace(removed);
    }

    /// Waits until every row that was pushed before this call is committed or dropped.
    pub async fn flushed(&self) {
        let pushed = self.lock().pushed;
        let mut removed = self.removed.subscribe();
        let _ = removed.wait_for(|done| *done >= pushed).await;
    }

    pub fn close(&self) {
        self.lock().closed.get_or_insert_with(Instant::now);
        self.arrived.notify_one();
    }

    /// How long ago the queue was closed; `None` while the service runs.
    pub fn closed_for(&self) -> Option<Duration> {
        self.lock().closed.map(|since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Adds a row to the lookup maps.
    fn index(&mut self, row: &Row) {
        match row {
            Row::Usage(_) => {}
            Row::Receipt(row, _) => {
                if let Some(chat_id) = &row.chat_id {
                    let key = (row.key_digest, chat_id.clone());
                    self.chats.insert(key, row.receipt_id.clone());
                }
                self.receipts.insert(row.receipt_id.clone(), row.clone());
            }
            Row::Session(row) => {
                self.sessions.insert(row.id, row.clone());
            }
        }
    }

    fn remove_first(&mut self) -> Option<Row> {
        let (row, _) = self.queue.pop_front()?;
        self.removed += 1;
        match &row {
            Row::Usage(_) => {}
            Row::Receipt(row, _) => {
                self.receipts.remove(&row.receipt_id);
                if let Some(chat_id) = &row.chat_id {
                    let key = (row.key_digest, chat_id.clone());
                    if self.chats.get(&key) == Some(&row.receipt_id) {
                        self.chats.remove(&key);
                    }
                }
            }
            Row::Session(row) => {
                self.sessions.remove(&row.id);
            }
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(id: &str) -> ReceiptRow {
        ReceiptRow {
            receipt_id: id.to_owned(),
            chat_id: None,
            key_digest: [1; 32],
            json: Bytes::from_static(b"{}"),
            served_at: UnixTime::from_secs(1),
        }
    }

    fn push(queue: &RowQueue, id: &str) -> Result<(), QueueFull> {
        queue.push_receipt(receipt(id), UnixTime::from_secs(2))
    }

    #[test]
    fn drops_and_counts_new_rows_while_the_queue_is_full() {
        let queue = RowQueue::new(2);
        assert_eq!(push(&queue, "a"), Ok(()));
        assert_eq!(push(&queue, "b"), Ok(()));
        assert_eq!(push(&queue, "c"), Err(QueueFull(RowKind::Receipt)));
        assert_eq!((queue.waiting().0, queue.lost()), (2, 1));
        let unreported = queue.take_unreported();
        assert_eq!((unreported.receipts, unreported.total()), (1, 1));
        assert_eq!(queue.take_unreported(), RowCounts::default());
        assert!(queue.receipt("b", &[1; 32]).is_some());
        assert!(queue.receipt("c", &[1; 32]).is_none());
        queue.committed(1);
        assert_eq!(push(&queue, "d"), Ok(()), "there is room again");
    }

    #[test]
    fn removes_rows_in_order_of_arrival() {
        let queue = RowQueue::new(10);
        for id in ["a", "b", "c"] {
            push(&queue, id).expect("room");
        }
        assert_eq!(queue.first(2).len(), 2);
        assert_eq!(queue.lose_first(), Some(RowKind::Receipt));
        queue.committed(1);
        let found = ["a", "b", "c"].map(|id| queue.receipt(id, &[1; 32]).is_some());
        assert_eq!(found, [false, false, true]);
        assert_eq!((queue.waiting().0, queue.lost()), (1, 1));
    }

    #[tokio::test]
    async fn a_flush_waits_for_rows_pushed_before_it_only() {
        let queue = Arc::new(RowQueue::new(10));
        push(&queue, "a").expect("room");
        let flushed = tokio::spawn({
            let queue = queue.clone();
            async move { queue.flushed().await }
        });
        tokio::task::yield_now().await;
        assert!(!flushed.is_finished());
        push(&queue, "b").expect("room");
        queue.committed(1);
        flushed.await.expect("it ends though b still waits");
    }
}
