//! The ledger's write-behind queue, in order of arrival.
//!
//! A push takes a lock briefly, appends the row to the open [batch](super::batch) and never waits. It wakes the writer
//! only if that sleeps because there was nothing to do, or if a caller waits for the row. Rows pass through three places:
//! memory, a stored batch (durable), their tables. Until they are in their tables, receipts and sessions are found
//! through this queue. What waits in memory is bounded: while the database fails and the queue is full, new rows are
//! dropped and counted.
//!
//! It shares no type with the audit log's [queue](crate::audit), which is another structure: there, refusals and losses
//! are sums that are merged into one entry, and a batch is entered as a whole or not at all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::batch::{self, Batch, Keys, Record, Spendings, receipt_key, session_key};
use super::batches::StoredBatch;
use super::columns::secs;
use super::{ReceiptRow, SessionRow};
use crate::audit::Losses;
use attest_core::{SessionId, UnixTime};
use gateway_base::lock::lock;
use gateway_base::metering::{RowRetention, UnfinishedId, UsageRow};
use gateway_base::quota::Spent;
use gateway_base::store_failure::{Cause, StoreFailure};

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

    fn add_all(&mut self, other: &Self) {
        self.usage += other.usage;
        self.receipts += other.receipts;
        self.sessions += other.sessions;
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

/// A batch that takes no further rows.
pub(super) struct SealedBatch {
    pub batch: Batch,
    /// The number of rows that were pushed until its last one.
    end: u64,
}

/// A batch that is durable and whose rows are not in their tables yet. Its body is in the database only.
struct Stored {
    batch: StoredBatch,
    keys: Keys,
    expires_at: i64,
    end: u64,
}

/// How far rows have come, as numbers of pushed rows.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    durable: u64,
    in_tables: u64,
    failures: u64,
    failure: Option<StoreFailure>,
}

/// What the writer has to know before its next round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub pushed: u64,
    /// Rows in memory.
    pub waiting: usize,
    pub stored_rows: usize,
    pub stored_batches: usize,
    /// Rows until this one are in their tables.
    pub in_tables: u64,
    /// A caller waits until the rows are durable.
    pub urgent: bool,
    /// A caller waits until the rows are in their tables.
    pub wanted: bool,
    pub closing: bool,
    pub abandoned: bool,
}

impl Call {
    /// Nothing has to be done before the next push.
    pub fn is_idle(&self) -> bool {
        self.waiting == 0 && self.stored_batches == 0
    }
}

#[derive(Default)]
struct State {
    open: Batch,
    /// In memory until they are durable, the oldest first.
    sealed: VecDeque<Arc<SealedBatch>>,
    /// Rows in the open batch and the sealed ones.
    waiting: usize,
    /// How many rows were pushed since the start.
    pushed: u64,
    /// What was spent by requests whose rows did not fit. It is not dropped: it is added as soon as there is room.
    deferred: Spendings,
    /// Dropped rows that were not reported yet.
    unreported: RowCounts,
    urgent: bool,
    wanted: bool,
    /// The writer sleeps until it is woken.
    asleep: bool,
    /// When the service began to stop.
    closed: Option<Instant>,
    /// The ledger was dropped without being closed.
    abandoned: bool,
    /// The writer has ended.
    ended: bool,
}

/// Requests push, one writer thread removes.
pub(super) struct RowQueue {
    capacity: usize,
    // Held for pushes, lookups and removals; never across an await or a database call.
    state: Mutex<State>,
    // The writer adds and removes; lookups read. Apart from `state`, so that a lookup in many batches holds up no push.
    stored: Mutex<VecDeque<Stored>>,
    // Wakes the writer, the only waiter.
    wakeup: Notify,
    // Read by metrics without the lock.
    lost: AtomicU64,
    // Published by the writer to callers that wait for their rows.
    progress: watch::Sender<Progress>,
}

impl RowQueue {
    /// A queue of at most `capacity` rows in memory.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
            stored: Mutex::default(),
            wakeup: Notify::new(),
            lost: AtomicU64::new(0),
            progress: watch::Sender::default(),
        }
    }

    pub fn push_usage(&self, row: &UsageRow, retention: &RowRetention) -> Result<(), QueueFull> {
        self.push(RowKind::Usage, |batch| batch.add_usage(row, retention))
    }

    /// Pushes the row of a request that has ended, if it is kept, and what the request has spent. Both become durable
    /// together.
    pub fn push_ended(
        &self,
        row: Option<(&UsageRow, &RowRetention)>,
        spent: &[Spent],
    ) -> Result<(), QueueFull> {
        if row.is_none() && !self.has_room() {
            self.defer(spent);
            return Ok(());
        }
        let pushed = self.push(RowKind::Usage, |batch| {
            if let Some((row, retention)) = row {
                batch.add_usage(row, retention);
            }
            batch.add_spent(spent);
        });
        if pushed.is_err() {
            self.defer(spent);
        }
        pushed
    }

    fn has_room(&self) -> bool {
        self.lock().has_room(self.capacity)
    }

    fn defer(&self, spent: &[Spent]) {
        let mut state = self.lock();
        for spent in spent {
            state.deferred.add(spent);
        }
    }

    pub fn push_receipt(&self, row: &ReceiptRow, until: UnixTime) -> Result<(), QueueFull> {
        self.push(RowKind::Receipt, |batch| batch.add_receipt(row, until))
    }

    pub fn push_session(&self, row: &SessionRow, keep_until: UnixTime) -> Result<(), QueueFull> {
        self.push(RowKind::Session, |batch| batch.add_session(row, keep_until))
    }

    fn push(&self, kind: RowKind, add: impl FnOnce(&mut Batch)) -> Result<(), QueueFull> {
        let mut state = self.lock();
        if !state.has_room(self.capacity) {
            state.unreported.add(kind);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Err(QueueFull(kind));
        }
        state.push(add);
        let is_asleep = std::mem::take(&mut state.asleep);
        drop(state);
        if is_asleep {
            self.wakeup.notify_one();
        }
        Ok(())
    }

    /// Pushes the row of a request that is about to be forwarded, and waits until it is durable.
    pub async fn push_unfinished(
        &self,
        id: UnfinishedId,
        row: &UsageRow,
        retention: &RowRetention,
    ) -> Result<(), StoreFailure> {
        let (mut progress, end, before) = {
            let mut state = self.lock();
            if !state.has_room(self.capacity) {
                return Err(StoreFailure::without_code(Cause::Unreachable));
            }
            state.push(|batch| batch.add_unfinished(id, row, retention));
            state.urgent = true;
            state.asleep = false;
            // Subscribed before the writer can have seen the row.
            let progress = self.progress.subscribe();
            let before = progress.borrow().failures;
            (progress, state.pushed, before)
        };
        self.wakeup.notify_one();
        wait(&mut progress, before, |progress| progress.durable >= end).await
    }

    /// Waits until every row that was pushed before this call is in its table or dropped, or until an attempt fails.
    pub async fn in_tables(&self) -> Result<(), StoreFailure> {
        let (mut progress, end, before) = {
            let mut state = self.lock();
            let progress = self.progress.subscribe();
            let Progress {
                in_tables,
                failures,
                ..
            } = *progress.borrow();
            if in_tables >= state.pushed {
                return Ok(());
            }
            state.wanted = true;
            state.asleep = false;
            (progress, state.pushed, failures)
        };
        self.wakeup.notify_one();
        wait(&mut progress, before, |progress| progress.in_tables >= end).await
    }

    /// Whether a row that is not in its table yet has expired.
    pub fn holds_expired(&self, now: UnixTime) -> bool {
        let has_expired = |expires_at: i64| expires_at <= secs(now);
        let in_memory = {
            let state = self.lock();
            let sealed = state.sealed.iter().map(|sealed| &sealed.batch);
            let mut batches = sealed.chain([&state.open]);
            batches.any(|batch| has_expired(batch.expires_at))
        };
        in_memory
            || lock(&self.stored)
                .iter()
                .any(|stored| has_expired(stored.expires_at))
    }

    /// The receipt with this id, its own or the response's, if it is in memory and has not expired.
    pub fn receipt(&self, id: &str, key_digest: &[u8; 32], now: UnixTime) -> Option<Bytes> {
        self.in_memory(receipt_key(id, key_digest), |record| {
            receipt_json(record, id, key_digest, now)
        })
    }

    /// The session with this id, if it is in memory.
    pub fn session(&self, id: &SessionId) -> Option<Bytes> {
        self.in_memory(session_key(id.as_bytes()), |record| {
            session_json(record, id)
        })
    }

    /// What is found by this hash and chosen, of several the newest.
    fn in_memory(&self, hash: u64, choose: impl Fn(&Record<'_>) -> Option<Bytes>) -> Option<Bytes> {
        let state = self.lock();
        let choose_from = |batch: &Batch| {
            let mut places = batch.keys.places(hash);
            places.find_map(|place| choose(&batch::record_at(batch.body(), place)?))
        };
        let sealed = || state.sealed.iter().rev();
        choose_from(&state.open).or_else(|| sealed().find_map(|sealed| choose_from(&sealed.batch)))
    }

    /// The places in stored batches of what may be found by this hash, the newest first.
    pub fn stored_places(&self, hash: u64) -> Vec<(StoredBatch, u32)> {
        let stored = lock(&self.stored);
        let places = stored.iter().rev().flat_map(|stored| {
            let places = stored.keys.sorted_places(hash);
            places.map(|place| (stored.batch, place))
        });
        places.collect()
    }

    /// The number of rows in memory, and the age of the oldest.
    pub fn waiting(&self) -> (usize, Duration) {
        let state = self.lock();
        let oldest = state
            .sealed
            .front()
            .map_or(&state.open, |sealed| &sealed.batch);
        let age = oldest.since.map(|since| since.elapsed());
        (state.waiting, age.unwrap_or_default())
    }

    /// How many rows were dropped.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The dropped rows since the last call.
    pub fn take_unreported(&self) -> RowCounts {
        std::mem::take(&mut self.lock().unreported)
    }

    /// What has to be done. If that is nothing, the next push wakes the writer.
    pub fn call(&self) -> Call {
        let (stored_rows, stored_batches) = {
            let stored = lock(&self.stored);
            let rows = stored.iter().map(|stored| stored.batch.rows);
            (rows.sum(), stored.len())
        };
        let in_tables = self.progress.borrow().in_tables;
        let mut state = self.lock();
        if state.has_room(self.capacity) {
            state.add_deferred();
        }
        let call = Call {
            pushed: state.pushed,
            waiting: state.waiting,
            stored_rows,
            stored_batches,
            in_tables,
            urgent: std::mem::take(&mut state.urgent),
            wanted: std::mem::take(&mut state.wanted),
            closing: state.closed.is_some(),
            abandoned: state.abandoned,
        };
        state.asleep = call.is_idle();
        call
    }

    /// Waits until the writer is woken.
    pub async fn woken(&self) {
        self.wakeup.notified().await;
    }

    /// Seals the open batch. Returns every batch that is not durable, the oldest first.
    pub fn seal(&self) -> Vec<Arc<SealedBatch>> {
        let mut state = self.lock();
        state.seal();
        state.sealed.iter().cloned().collect()
    }

    /// The first batches are stored, and durable.
    pub fn stored(&self, batches: &[(StoredBatch, Arc<SealedBatch>)]) {
        let mut end = 0;
        for (batch, sealed) in batches {
            end = sealed.end;
            lock(&self.stored).push_back(Stored {
                batch: *batch,
                keys: sealed.batch.keys.sorted(),
                expires_at: sealed.batch.expires_at,
                end,
            });
        }
        // Only now: a lookup first reads what is in memory.
        self.lock().remove_sealed(batches.len());
        self.publish(|progress| progress.durable = end);
    }

    /// The rows of the first batches in memory are in their tables.
    pub fn written(&self, batches: &[Arc<SealedBatch>]) {
        self.lock().remove_sealed(batches.len());
        if let Some(last) = batches.last() {
            self.publish(|progress| {
                progress.durable = last.end;
                progress.in_tables = last.end;
            });
        }
    }

    /// The stored batches, the oldest first.
    pub fn stored_batches(&self) -> Vec<StoredBatch> {
        lock(&self.stored)
            .iter()
            .map(|stored| stored.batch)
            .collect()
    }

    /// The rows of the stored batches up to this id are in their tables.
    pub fn moved(&self, last: i64) {
        let mut stored = lock(&self.stored);
        let mut end = None;
        while stored.front().is_some_and(|stored| stored.batch.id <= last) {
            end = stored.pop_front().map(|stored| stored.end);
        }
        drop(stored);
        if let Some(end) = end {
            self.publish(|progress| progress.in_tables = end);
        }
    }

    /// An attempt failed: callers that wait are answered.
    pub fn failed(&self, failure: StoreFailure) {
        self.publish(|progress| {
            progress.failures += 1;
            progress.failure = Some(failure);
        });
    }

    /// Counts a row that the database refuses.
    pub fn lose(&self, kind: RowKind) {
        self.lock().unreported.add(kind);
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Drops the rows in memory after the writer has ended, and every later one. Returns how many of each kind.
    pub fn end(&self) -> RowCounts {
        let mut state = self.lock();
        state.seal();
        state.ended = true;
        let mut dropped = RowCounts::default();
        for sealed in std::mem::take(&mut state.sealed) {
            dropped.add_all(&sealed.batch.counts);
        }
        state.waiting = 0;
        drop(state);
        self.lost.fetch_add(dropped.total(), Ordering::Relaxed);
        self.failed(StoreFailure::without_code(Cause::Unreachable));
        dropped
    }

    pub fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// The service stops: the writer writes what waits, and ends.
    pub fn close(&self) {
        self.lock().closed.get_or_insert_with(Instant::now);
        self.wakeup.notify_one();
    }

    /// The writer ends at once, as after a kill.
    pub fn abandon(&self) {
        self.lock().abandoned = true;
        self.wakeup.notify_one();
    }

    /// How long ago the queue was closed; `None` while the service runs.
    pub fn closed_for(&self) -> Option<Duration> {
        self.lock().closed.map(|since| since.elapsed())
    }

    fn publish(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_modify(change);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Waits until `reached`, or until an attempt fails.
async fn wait(
    progress: &mut watch::Receiver<Progress>,
    failures: u64,
    reached: impl Fn(&Progress) -> bool,
) -> Result<(), StoreFailure> {
    let changed = |progress: &Progress| reached(progress) || progress.failures != failures;
    let unreachable = StoreFailure::without_code(Cause::Unreachable);
    let now = match progress.wait_for(changed).await {
        Ok(progress) => *progress,
        Err(_) => return Err(unreachable),
    };
    match reached(&now) {
        true => Ok(()),
        false => Err(now.failure.unwrap_or(unreachable)),
    }
}

/// The document of this receipt, if it is the one and has not expired.
pub(super) fn receipt_json(
    record: &Record<'_>,
    id: &str,
    key_digest: &[u8; 32],
    now: UnixTime,
) -> Option<Bytes> {
    let Record::Receipt(receipt) = record else {
        return None;
    };
    let found = receipt.is_for(id, key_digest) && receipt.expires_at > secs(now);
    found.then(|| Bytes::copy_from_slice(receipt.json))
}

/// The document of this session, if it is the one.
pub(super) fn session_json(record: &Record<'_>, id: &SessionId) -> Option<Bytes> {
    match record {
        Record::Session(session) if session.id == id.as_bytes() => {
            Some(Bytes::copy_from_slice(session.json))
        }
        _ => None,
    }
}

impl State {
    fn has_room(&self, capacity: usize) -> bool {
        self.waiting < capacity && !self.ended
    }

    fn push(&mut self, add: impl FnOnce(&mut Batch)) {
        let before = self.open.rows;
        add(&mut self.open);
        // What is spent may be added to a row that is there already.
        let rows = self.open.rows - before;
        self.waiting += rows;
        self.pushed += rows as u64;
        if self.open.is_large() {
            self.seal();
        }
    }

    fn add_deferred(&mut self) {
        let deferred: Vec<Spent> = std::mem::take(&mut self.deferred).into_spent().collect();
        if !deferred.is_empty() {
            self.push(|batch| batch.add_spent(&deferred));
        }
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            let next = Batch::as_large_as(&self.open);
            let batch = std::mem::replace(&mut self.open, next).seal();
            let end = self.pushed;
            self.sealed.push_back(Arc::new(SealedBatch { batch, end }));
        }
    }

    fn remove_sealed(&mut self, count: usize) {
        for sealed in self.sealed.drain(..count) {
            self.waiting -= sealed.batch.rows;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1);

    fn push(queue: &RowQueue, id: &str) -> Result<(), QueueFull> {
        let row = ReceiptRow {
            receipt_id: id.to_owned(),
            chat_id: None,
            key_digest: [1; 32],
            json: Bytes::from_static(b"{}"),
            served_at: NOW,
        };
        queue.push_receipt(&row, UnixTime::from_secs(2))
    }

    fn is_in_memory(queue: &RowQueue, id: &str) -> bool {
        queue.receipt(id, &[1; 32], NOW).is_some()
    }

    /// Stores the batches in memory as this one.
    fn store(queue: &RowQueue, id: i64) {
        let sealed = queue.seal().into_iter();
        let stored: Vec<_> = sealed
            .map(|one| (StoredBatch { id, rows: 1 }, one))
            .collect();
        queue.stored(&stored);
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
        assert!(is_in_memory(&queue, "b") && !is_in_memory(&queue, "c"));
        queue.written(&queue.seal());
        assert_eq!(push(&queue, "d"), Ok(()), "there is room again");
        let dropped = queue.end();
        assert_eq!((dropped.receipts, queue.lost()), (1, 2));
        assert!(push(&queue, "e").is_err(), "no row is taken after the end");
    }

    #[test]
    fn a_row_is_found_in_one_place_after_the_other() {
        let queue = RowQueue::new(10);
        let places = |id| queue.stored_places(receipt_key(id, &[1; 32])).len();
        for id in ["a", "b"] {
            push(&queue, id).expect("room");
        }
        assert!(is_in_memory(&queue, "a") && !is_in_memory(&queue, "c"));
        assert!(queue.receipt("a", &[2; 32], NOW).is_none(), "another key");
        assert!(
            queue
                .receipt("a", &[1; 32], UnixTime::from_secs(2))
                .is_none(),
            "expired"
        );
        store(&queue, 1);
        push(&queue, "c").expect("room");
        assert_eq!(
            (is_in_memory(&queue, "a"), places("a"), places("c")),
            (false, 1, 0)
        );
        assert_eq!(queue.waiting().0, 1);
        assert!(queue.holds_expired(UnixTime::from_secs(2)) && !queue.holds_expired(NOW));
        queue.moved(1);
        assert_eq!((places("a"), queue.stored_batches()), (0, vec![]));
        assert!(is_in_memory(&queue, "c"));
    }

    #[test]
    fn wakes_a_sleeping_writer_once() {
        let queue = RowQueue::new(10);
        let woken = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build();
            let soon = async {
                tokio::time::timeout(Duration::ZERO, queue.woken())
                    .await
                    .is_ok()
            };
            runtime.expect("a runtime").block_on(soon)
        };
        assert_eq!(queue.call().waiting, 0);
        push(&queue, "a").expect("room");
        assert!(woken(), "the first row wakes it");
        push(&queue, "b").expect("room");
        assert!(!woken(), "it is awake");
        assert_eq!(queue.call().waiting, 2);
        push(&queue, "c").expect("room");
        assert!(!woken(), "rows wait, so it has a timer");
    }

    #[tokio::test]
    async fn a_caller_waits_for_rows_pushed_before_it_only() {
        let queue = Arc::new(RowQueue::new(10));
        push(&queue, "a").expect("room");
        let waits = tokio::spawn({
            let queue = queue.clone();
            async move { queue.in_tables().await }
        });
        tokio::task::yield_now().await;
        let first = queue.seal();
        push(&queue, "b").expect("room");
        assert!(!waits.is_finished() && queue.call().wanted);
        queue.written(&first);
        let waited = waits.await.expect("it ends though b still waits");
        assert_eq!((waited, queue.waiting().0), (Ok(()), 1));
    }

    #[tokio::test]
    async fn a_caller_gets_the_failure_of_an_attempt() {
        let queue = Arc::new(RowQueue::new(10));
        push(&queue, "a").expect("room");
        let waits = tokio::spawn({
            let queue = queue.clone();
            async move { queue.in_tables().await }
        });
        tokio::task::yield_now().await;
        let full = StoreFailure::without_code(Cause::Full);
        queue.failed(full);
        assert_eq!(waits.await.expect("it ends"), Err(full));
        assert_eq!(queue.waiting().0, 1, "the row still waits");
    }
}
