//! The audit log's queue: commands, whose callers wait, and the batch, for which no caller waits.
//!
//! Commands are executed at once, one after another. What is added to the batch wakes no task: the writer checks for it by
//! its own clock. The batch is bounded: while the database fails and the batch is
//! full, new notes and receipts are dropped and counted.
//!
//! The ledger's queue has no type in common with it: see the header of `ledger/row_queue.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, oneshot};

use super::leaf::Opening;
use super::{Appended, CLOSED, EpochLog, NewEpoch};
use crate::error::StoreError;
use attest_core::log::{Entry, EpochEnd, MAX_ENTRY_BYTES, Word};
use attest_core::{Sha256Digest, UnixTime};
use gateway_base::lock::lock;

/// The most receipts in a batch, and the most notes.
const CAPACITY: usize = 100_000;

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A command. The caller awaits `reply`.
pub(super) enum Command {
    Append {
        entries: Vec<(Entry, Option<Opening>)>,
        reply: Reply<Appended>,
    },
    BeginEpoch {
        beginning: Box<NewEpoch>,
        reply: Reply<Arc<EpochLog>>,
    },
    EndEpoch {
        at: UnixTime,
        end: EpochEnd,
        reply: Reply<()>,
    },
    Flush {
        reply: Reply<()>,
    },
}

/// Receipts, refusals, notes and losses that are entered together.
#[derive(Clone, Default)]
pub(super) struct Batch {
    pub notes: Vec<Entry>,
    pub receipts: Vec<Sha256Digest>,
    pub refused: BTreeMap<Word, u64>,
    pub receipts_lost: u64,
    /// Dropped rows by kind: the ledger's, and notes that did not fit into this queue.
    pub rows_lost: BTreeMap<Word, u64>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
            && self.receipts.is_empty()
            && self.refused.is_empty()
            && self.receipts_lost == 0
            && self.rows_lost.is_empty()
    }

    /// The number of queued items; each receipt and each refusal counts.
    fn waiting(&self) -> u64 {
        let counted = self.refused.values().sum::<u64>();
        (self.notes.len() + self.receipts.len()) as u64 + counted + self.rows_lost.len() as u64
    }
}

#[derive(Default)]
struct State {
    commands: VecDeque<Command>,
    batch: Batch,
}

/// Requests and administrators add, one writer task removes.
#[derive(Default)]
pub(super) struct EntryQueue {
    // Held for pushes and removals, never across an await.
    state: Mutex<State>,
    // A command, or `close`. Wakes the writer, the only waiter.
    arrived: Notify,
    // Written under `state`, so that no command is added after `close` has cleared them.
    closed: AtomicBool,
    // Read by metrics without the lock.
    dropped: AtomicU64,
}

impl EntryQueue {
    /// Queues a command and waits for its reply.
    pub async fn send<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, StoreError> {
        let (reply, answered) = oneshot::channel();
        // In a block, so that the lock is released before the await.
        {
            let mut state = self.lock();
            if self.is_closed() {
                return Err(CLOSED);
            }
            state.commands.push_back(command(reply));
        }
        self.arrived.notify_one();
        answered.await.unwrap_or(Err(CLOSED))
    }

    pub fn note(&self, entry: Entry) {
        // An entry that is too long would make every batch that contains it fail.
        let fits = entry.to_bytes().len() <= MAX_ENTRY_BYTES;
        let mut state = self.lock();
        if !fits || state.batch.notes.len() >= CAPACITY {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            // Before `rows_lost`, which takes the lock itself.
            drop(state);
            self.rows_lost("notes", 1);
            return;
        }
        state.batch.notes.push(entry);
    }

    pub fn receipt(&self, digest: Sha256Digest) {
        let mut state = self.lock();
        if state.batch.receipts.len() >= CAPACITY {
            state.batch.receipts_lost += 1;
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.batch.receipts.push(digest);
    }

    pub fn count_refusal(&self, code: Word) {
        *self.lock().batch.refused.entry(code).or_default() += 1;
    }

    /// Counts rows of a kind that were dropped.
    pub fn rows_lost(&self, kind: &'static str, count: u64) {
        let Some(kind) = Word::parse(kind).ok().filter(|_| count > 0) else {
            return;
        };
        *self.lock().batch.rows_lost.entry(kind).or_default() += count;
    }

    /// The number of queued items.
    pub fn waiting(&self) -> u64 {
        self.lock().batch.waiting()
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits for the next command or `close`.
    pub async fn wait_for_command(&self) {
        self.arrived.notified().await;
    }

    /// The next command.
    pub fn next_command(&self) -> Option<Command> {
        self.lock().commands.pop_front()
    }

    /// A copy of the batch, to be entered. It stays queued until [`EntryQueue::entered`].
    pub fn batch(&self) -> Batch {
        self.lock().batch.clone()
    }

    /// Removes a batch after it was entered. Items that were added meanwhile stay.
    pub fn entered(&self, done: &Batch) {
        let mut state = self.lock();
        // Items are only ever added at the end and counts only ever grow, so `done` is still the first part of each.
        let rest = &mut state.batch;
        rest.notes.drain(..done.notes.len());
        rest.receipts.drain(..done.receipts.len());
        rest.receipts_lost -= done.receipts_lost;
        subtract(&mut rest.refused, &done.refused);
        subtract(&mut rest.rows_lost, &done.rows_lost);
    }

    /// Refuses further commands. Dropping the queued ones closes their reply channels, so that their callers return.
    pub fn close(&self) {
        let mut state = self.lock();
        self.closed.store(true, Ordering::Release);
        state.commands.clear();
        drop(state);
        self.arrived.notify_one();
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Subtracts entered counts from the queued ones.
fn subtract(waiting: &mut BTreeMap<Word, u64>, entered: &BTreeMap<Word, u64>) {
    for (word, count) in entered {
        if let Some(left) = waiting.get_mut(word) {
            *left -= count;
        }
    }
    waiting.retain(|_, count| *count > 0);
}
