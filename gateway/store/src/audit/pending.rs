//! What is on its way into the log.
//!
//! Tasks that somebody waits for are done one after another, at once. What nobody waits for is bounded: should the
//! database refuse for so long that the bound is met, the newest is given up and counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attest_core::log::{Entry, EpochEnd, MAX_ENTRY_BYTES, Word};
use attest_core::{Sha256Digest, UnixTime};
use tokio::sync::{Notify, oneshot};

use super::store::Opening;
use super::{Appended, AuditError, EpochBeginning, EpochLog};

/// The most receipts held, and the most notes.
const BOUND: usize = 100_000;

pub(super) type Answer<T> = oneshot::Sender<Result<T, AuditError>>;

/// Something that somebody waits for.
pub(super) enum Task {
    Append {
        entries: Vec<(Entry, Option<Opening>)>,
        answer: Answer<Appended>,
    },
    BeginEpoch {
        beginning: Box<EpochBeginning>,
        answer: Answer<Arc<EpochLog>>,
    },
    EndEpoch {
        at: UnixTime,
        end: EpochEnd,
        answer: Answer<()>,
    },
    Flush {
        answer: Answer<()>,
    },
}

/// What nobody waits for.
#[derive(Clone, Default)]
pub(super) struct Gathered {
    pub notes: Vec<Entry>,
    pub receipts: Vec<Sha256Digest>,
    pub refused: BTreeMap<Word, u64>,
    pub receipts_lost: u64,
    /// By kind: rows that the ledger dropped, notes that were dropped here.
    pub rows_lost: BTreeMap<Word, u64>,
}

impl Gathered {
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
            && self.receipts.is_empty()
            && self.refused.is_empty()
            && self.receipts_lost == 0
            && self.rows_lost.is_empty()
    }

    /// How many entries wait, each receipt and each refusal counted.
    fn waiting(&self) -> u64 {
        let counted = self.refused.values().sum::<u64>();
        (self.notes.len() + self.receipts.len()) as u64 + counted + self.rows_lost.len() as u64
    }
}

#[derive(Default)]
struct Held {
    tasks: VecDeque<Task>,
    gathered: Gathered,
}

#[derive(Default)]
pub(super) struct Pending {
    held: Mutex<Held>,
    arrived: Notify,
    closed: AtomicBool,
    given_up: AtomicU64,
}

impl Pending {
    /// Hands over a task and waits for its answer.
    pub async fn ask<T>(&self, task: impl FnOnce(Answer<T>) -> Task) -> Result<T, AuditError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut held = self.lock();
            if self.is_closed() {
                return Err(AuditError::Closed);
            }
            held.tasks.push_back(task(answer));
        }
        self.arrived.notify_one();
        answered.await.unwrap_or(Err(AuditError::Closed))
    }

    pub fn note(&self, entry: Entry) {
        // One that is too long would be refused with every other that waits, each time.
        let fits = entry.to_bytes().len() <= MAX_ENTRY_BYTES;
        let mut held = self.lock();
        if !fits || held.gathered.notes.len() >= BOUND {
            self.given_up.fetch_add(1, Ordering::Relaxed);
            drop(held);
            self.rows_lost("notes", 1);
            return;
        }
        held.gathered.notes.push(entry);
        drop(held);
        self.arrived.notify_one();
    }

    pub fn receipt(&self, digest: Sha256Digest) {
        let mut held = self.lock();
        if held.gathered.receipts.len() >= BOUND {
            held.gathered.receipts_lost += 1;
            self.given_up.fetch_add(1, Ordering::Relaxed);
            return;
        }
        held.gathered.receipts.push(digest);
        drop(held);
        self.arrived.notify_one();
    }

    pub fn refused(&self, code: Word) {
        let mut held = self.lock();
        *held.gathered.refused.entry(code).or_default() += 1;
        drop(held);
        self.arrived.notify_one();
    }

    /// Counts rows of a kind that were dropped.
    pub fn rows_lost(&self, kind: &'static str, count: u64) {
        let Some(kind) = Word::parse(kind).ok().filter(|_| count > 0) else {
            return;
        };
        let mut held = self.lock();
        *held.gathered.rows_lost.entry(kind).or_default() += count;
        drop(held);
        self.arrived.notify_one();
    }

    /// How many entries wait.
    pub fn waiting(&self) -> u64 {
        self.lock().gathered.waiting()
    }

    pub fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Waits until something arrives.
    pub async fn something(&self) {
        self.arrived.notified().await;
    }

    /// The next task.
    pub fn next_task(&self) -> Option<Task> {
        self.lock().tasks.pop_front()
    }

    pub fn has_gathered(&self) -> bool {
        !self.lock().gathered.is_empty()
    }

    /// What was gathered, to be entered. [`Pending::entered`] takes it away once it is.
    pub fn gathered(&self) -> Gathered {
        self.lock().gathered.clone()
    }

    /// What was gathered before is entered.
    pub fn entered(&self, done: &Gathered) {
        let mut held = self.lock();
        let rest = &mut held.gathered;
        rest.notes.drain(..done.notes.len());
        rest.receipts.drain(..done.receipts.len());
        rest.receipts_lost -= done.receipts_lost;
        subtract(&mut rest.refused, &done.refused);
        subtract(&mut rest.rows_lost, &done.rows_lost);
    }

    /// Takes no more tasks; those that wait are answered when they are dropped.
    pub fn close(&self) {
        let mut held = self.lock();
        self.closed.store(true, Ordering::Release);
        held.tasks.clear();
        drop(held);
        self.arrived.notify_one();
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what is entered away from what waits.
fn subtract(waiting: &mut BTreeMap<Word, u64>, entered: &BTreeMap<Word, u64>) {
    for (word, count) in entered {
        if let Some(left) = waiting.get_mut(word) {
            *left -= count;
        }
    }
    waiting.retain(|_, count| *count > 0);
}
