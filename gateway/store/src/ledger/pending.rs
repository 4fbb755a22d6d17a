//! Rows on their way to the database, in the order in which they arrived.
//!
//! Handing a row over is a push under a lock; the writer looks at the first rows and takes them away once they are
//! settled: committed, or lost. Receipts and sessions can be found here until then. How many rows wait is bounded:
//! while the database accepts nothing and the bound is reached, the newest are dropped and counted.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use attest_core::{SessionId, UnixTime};
use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::{ReceiptRow, SessionRow};
use gateway_base::metering::{RowRetention, UsageRow};

/// One row that waits.
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

/// No room for another row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom(pub RowKind);

#[derive(Default)]
struct Held {
    queue: VecDeque<(Row, Instant)>,
    /// Receipts in the queue, by receipt id.
    receipts: HashMap<String, Arc<ReceiptRow>>,
    /// Response id to receipt id of the newest such receipt.
    chats: HashMap<([u8; 32], String), String>,
    sessions: HashMap<SessionId, Arc<SessionRow>>,
    /// How many rows were ever put into the queue.
    pushed: u64,
    /// How many of them were taken out of it again.
    settled: u64,
    /// Dropped, and not yet reported.
    unreported: RowCounts,
    closed: Option<Instant>,
}

pub(super) struct Pending {
    most: usize,
    held: Mutex<Held>,
    arrived: Notify,
    lost: AtomicU64,
    settled: watch::Sender<u64>,
}

impl Pending {
    /// Holds `most` rows.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            held: Mutex::default(),
            arrived: Notify::new(),
            lost: AtomicU64::new(0),
            settled: watch::Sender::new(0),
        }
    }

    pub fn push_usage(&self, row: UsageRow, keep: RowRetention) -> Result<(), NoRoom> {
        self.push(Row::Usage(Arc::new((row, keep))))
    }

    pub fn push_receipt(&self, row: ReceiptRow, until: UnixTime) -> Result<(), NoRoom> {
        self.push(Row::Receipt(Arc::new(row), until))
    }

    pub fn push_session(&self, row: SessionRow) -> Result<(), NoRoom> {
        self.push(Row::Session(Arc::new(row)))
    }

    fn push(&self, row: Row) -> Result<(), NoRoom> {
        let mut held = self.lock();
        if held.queue.len() >= self.most {
            let kind = row.kind();
            held.unreported.add(kind);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Err(NoRoom(kind));
        }
        held.index(&row);
        held.queue.push_back((row, Instant::now()));
        held.pushed += 1;
        drop(held);
        self.arrived.notify_one();
        Ok(())
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

    /// How many rows wait, and for how long the oldest has.
    pub fn waiting(&self) -> (usize, Duration) {
        let held = self.lock();
        let oldest = held.queue.front().map(|(_, since)| since.elapsed());
        (held.queue.len(), oldest.unwrap_or_default())
    }

    /// How many rows were dropped.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Those of them that this was not called about before.
    pub fn take_unreported(&self) -> RowCounts {
        std::mem::take(&mut self.lock().unreported)
    }

    /// Waits until there is something to commit, or until it is time to stop.
    pub async fn something(&self) {
        loop {
            let arrived = self.arrived.notified();
            if !self.lock().queue.is_empty() || self.closed_for().is_some() {
                return;
            }
            arrived.await;
        }
    }

    /// The first rows, `most` at most. They stay here until they are settled.
    pub fn first(&self, most: usize) -> Vec<Row> {
        let held = self.lock();
        let rows = held.queue.iter().take(most);
        rows.map(|(row, _)| row.clone()).collect()
    }

    /// The first `count` rows are committed.
    pub fn committed(&self, count: usize) {
        let mut held = self.lock();
        for _ in 0..count {
            held.remove_first();
        }
        self.announce(held);
    }

    /// The first row will never be committed. Returns what kind of row that was.
    pub fn lose_first(&self) -> Option<RowKind> {
        let mut held = self.lock();
        let kind = held.remove_first()?.kind();
        held.unreported.add(kind);
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.announce(held);
        Some(kind)
    }

    /// Drops every row that is left, when the writer has stopped. Returns how many of each kind.
    pub fn drop_rest(&self) -> RowCounts {
        let mut held = self.lock();
        let mut dropped = RowCounts::default();
        while let Some(row) = held.remove_first() {
            dropped.add(row.kind());
        }
        self.lost.fetch_add(dropped.total(), Ordering::Relaxed);
        self.announce(held);
        dropped
    }

    fn announce(&self, held: MutexGuard<'_, Held>) {
        let settled = held.settled;
        drop(held);
        self.settled.send_replace(settled);
    }

    /// Waits until everything pushed before this call is settled.
    pub async fn flushed(&self) {
        let wanted = self.lock().pushed;
        let mut settled = self.settled.subscribe();
        let _ = settled.wait_for(|done| *done >= wanted).await;
    }

    pub fn close(&self) {
        self.lock().closed.get_or_insert_with(Instant::now);
        self.arrived.notify_one();
    }

    /// For how long the service has been waiting for the last rows; none while it runs.
    pub fn closed_for(&self) -> Option<Duration> {
        self.lock().closed.map(|since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no holder of this lock panics")
    }
}

impl Held {
    /// Makes a row findable.
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
        self.settled += 1;
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

    fn push(pending: &Pending, id: &str) -> Result<(), NoRoom> {
        pending.push_receipt(receipt(id), UnixTime::from_secs(2))
    }

    #[test]
    fn beyond_the_bound_the_newest_row_is_dropped_and_counted() {
        let pending = Pending::new(2);
        assert_eq!(push(&pending, "a"), Ok(()));
        assert_eq!(push(&pending, "b"), Ok(()));
        assert_eq!(push(&pending, "c"), Err(NoRoom(RowKind::Receipt)));
        assert_eq!((pending.waiting().0, pending.lost()), (2, 1));
        let unreported = pending.take_unreported();
        assert_eq!((unreported.receipts, unreported.total()), (1, 1));
        assert_eq!(pending.take_unreported(), RowCounts::default());
        assert!(pending.receipt("b", &[1; 32]).is_some());
        assert!(pending.receipt("c", &[1; 32]).is_none());
        pending.committed(1);
        assert_eq!(push(&pending, "d"), Ok(()), "there is room again");
    }

    #[test]
    fn rows_are_settled_in_the_order_in_which_they_arrived() {
        let pending = Pending::new(10);
        for id in ["a", "b", "c"] {
            push(&pending, id).expect("room");
        }
        assert_eq!(pending.first(2).len(), 2);
        assert_eq!(pending.lose_first(), Some(RowKind::Receipt));
        pending.committed(1);
        let found = ["a", "b", "c"].map(|id| pending.receipt(id, &[1; 32]).is_some());
        assert_eq!(found, [false, false, true]);
        assert_eq!((pending.waiting().0, pending.lost()), (1, 1));
    }

    #[tokio::test]
    async fn a_flush_waits_for_every_row_before_it_and_for_none_after_it() {
        let pending = Arc::new(Pending::new(10));
        push(&pending, "a").expect("room");
        let flushed = tokio::spawn({
            let pending = pending.clone();
            async move { pending.flushed().await }
        });
        tokio::task::yield_now().await;
        assert!(!flushed.is_finished());
        push(&pending, "b").expect("room");
        pending.committed(1);
        flushed.await.expect("it ends though b still waits");
    }
}
