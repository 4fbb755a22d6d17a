//! The audit log's writer: durable first, signed second, published last.
//!
//! [`attest_core::log`] defines entries, hashes and proofs; this module stores the entries, in `audit.sqlite` in the state
//! directory. Its callers use:
//!
//! | call | for | when it returns |
//! |---|---|---|
//! | [`AuditLog::append`] | what must be logged before it happens | committed and flushed to the disk |
//! | [`AuditLog::administered`] | keys, tenants: the entry has a commitment to the name | the same |
//! | [`AuditLog::begin_epoch`] | the only way to install a key that signs heads; includes a change of the retention policy | the same |
//! | [`AuditLog::end_epoch`], [`AuditLog::close`] | the service stops | the same |
//! | [`AuditLog::note`] | events for which no caller waits: sessions, purges | at once; entered within [`MIN_BATCH_INTERVAL`] |
//! | [`AuditLog::receipt`], [`AuditLog::count_refusal`] | each request: a push under a lock | at once; entered in batches, within [`MIN_BATCH_INTERVAL`] |
//!
//! Calls that return at once give no guarantee: their entries are lost if the process dies before the batch is
//! committed. Only a [proof](AuditLog::receipt_proof) guarantees that a receipt is logged, since proofs use committed
//! entries only.
//!
//! Heads are signed with the key of the active epoch ([`EpochLog`]), inside the transaction that commits their entries,
//! and published after it. So a published head includes only entries that survive a crash, and two heads of one size
//! never differ.
//!
//! Only the service signs, and only over the tree in its memory (`known_tree`). Commands append beside it (`sealgate
//! keys`): SQLite serialises them, and the service adds their entries to its tree. After any other change of the file it
//! signs no head until the next start.

mod digests;
mod entry_queue;
mod epoch_log;
mod export;
mod known_tree;
mod leaf;
mod open;
mod proofs;
mod receipt_index;
mod store;
mod tables;
mod unsigned_tail;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use crate::error::{DatabaseName, StoreError};
use crate::sqlite::StoreHealth;
use attest_core::log::{
    AdminAction, Commitment, Entry, EpochEnd, EpochStart, Fact, Origin, RetentionChange, Word,
};
use attest_core::{Sha256Digest, SigningKey, UnixTime};
use entry_queue::{Command, EntryQueue};
use gateway_base::events::LedgerWork;
use leaf::Opening;
use store::Store;

pub use epoch_log::EpochLog;
pub use export::{Export, ExportError};

/// How often the writer checks for receipts, refusals and notes. No caller wakes it for them.
pub const BATCH_DELAY: Duration = Duration::from_millis(250);
/// The minimum time between two batches. It limits the log to an entry per second, since a start reads the whole log.
pub const MIN_BATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The delay before a retry when the service stops and the database fails.
const RETRY: Duration = Duration::from_millis(500);

/// Names the audit log as the database in which a statement failed.
fn in_audit_log(error: sqlx::Error) -> StoreError {
    StoreError::statement(DatabaseName::AuditLog, error)
}

/// After [`AuditLog::close`].
const CLOSED: StoreError = StoreError::Closed {
    database: DatabaseName::AuditLog,
};

/// Counts rows that the ledger drops, for an entry in the log. Never waits.
#[derive(Clone)]
pub(crate) struct Losses(Arc<EntryQueue>);

impl Losses {
    /// A row of this kind was dropped.
    pub fn row(&self, kind: &'static str) {
        self.rows(kind, 1);
    }

    pub fn rows(&self, kind: &'static str, count: u64) {
        self.0.rows_lost(kind, count);
    }
}

/// The position of an appended entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its index, or the index of the last one if several were appended together.
    pub index: u64,
}

/// A new epoch to enter.
pub struct NewEpoch {
    /// When, by the service's clock.
    pub at: UnixTime,
    /// Its contract. Its `key` must be the public half of `signing_key`.
    pub start: EpochStart,
    /// The key that signs heads from now on.
    pub signing_key: Arc<SigningKey>,
    /// The change of the retention policy that causes it. Entered directly before it, in the same transaction.
    pub retention: Option<RetentionChange>,
}

/// The open log.
pub struct AuditLog {
    store: Arc<Store>,
    queue: Arc<EntryQueue>,
    health: Arc<StoreHealth>,
    // The writer task. `close_within` takes it out and awaits it.
    writer: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl AuditLog {
    /// Opens `audit.sqlite` in `state_dir`, begins a log if there is none, reads every entry, and refuses a log that was
    /// altered, as far as its hashes and heads show it. Removes entries that no head includes, except those of commands.
    pub async fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let store = Store::open_checked(state_dir).await?;
        loop {
            let version = store.version().await?;
            let checked = open::check(&store, None).await?;
            if store.continue_log(checked, version).await? {
                break;
            }
        }
        receipt_index::extend(&store).await?;
        Ok(Self::start(store))
    }

    /// Reads the log as [`open`](Self::open) does, and changes nothing.
    pub async fn check(state_dir: &Path) -> Result<(), StoreError> {
        if let Some(store) = Store::open_to_read(state_dir).await? {
            open::check(&store, None).await?;
            store.readers().close().await;
        }
        Ok(())
    }

    /// Opens the log to append to it beside a service: without reading all of it.
    pub async fn open_beside(state_dir: &Path) -> Result<Self, StoreError> {
        Ok(Self::start(Store::open(state_dir).await?))
    }

    fn start(store: Store) -> Self {
        let store = Arc::new(store);
        let queue = Arc::new(EntryQueue::default());
        let health = Arc::new(StoreHealth::new(LedgerWork::Audit));
        let writer = tokio::spawn(writer::run(store.clone(), queue.clone(), health.clone()));
        Self {
            store,
            queue,
            health,
            writer: tokio::sync::Mutex::new(Some(writer)),
        }
    }

    /// Which log this is.
    pub fn origin(&self) -> Origin {
        self.store.origin()
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        self.store.path()
    }

    /// Enters an entry. Durable when this returns.
    pub async fn append(&self, entry: Entry) -> Result<Appended, StoreError> {
        self.queue
            .send(|reply| Command::Append {
                entries: vec![(entry, None)],
                reply,
            })
            .await
    }

    /// Enters an administrator's action. The entry has a commitment to `subject`, whose opening is stored beside the log.
    /// Call it before the action. Durable when this returns.
    pub async fn append_admin_action(
        &self,
        at: UnixTime,
        action: AdminAction,
        subject: &str,
    ) -> Result<Appended, StoreError> {
        let mut salt = [0; 32];
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| StoreError::Random)?;
        let entry = Entry {
            at,
            fact: Fact::Admin {
                action,
                subject: Commitment::to(subject, &salt),
            },
        };
        let opening = Opening {
            salt,
            subject: subject.to_owned(),
        };
        self.queue
            .send(|reply| Command::Append {
                entries: vec![(entry, Some(opening))],
                reply,
            })
            .await
    }

    /// Enters a new epoch, and the end of the one before it, and signs heads with its key from now on.
    /// Durable when this returns. Call it last, when nothing else can prevent the epoch from beginning.
    pub async fn begin_epoch(&self, beginning: NewEpoch) -> Result<Arc<EpochLog>, StoreError> {
        self.queue
            .send(|reply| Command::BeginEpoch {
                beginning: Box::new(beginning),
                reply,
            })
            .await
    }

    /// Enters the end of the active epoch.
    pub(crate) async fn end_epoch(&self, at: UnixTime, end: EpochEnd) -> Result<(), StoreError> {
        self.queue
            .send(|reply| Command::EndEpoch { at, end, reply })
            .await
    }

    /// Queues an entry. Never waits; lost if the process dies before the batch is committed.
    pub fn note(&self, entry: Entry) {
        self.queue.note(entry);
    }

    /// Queues the digest of a receipt. Never waits; lost if the process dies before the batch is committed.
    pub fn receipt(&self, digest: Sha256Digest) {
        self.queue.receipt(digest);
    }

    /// Counts a request that a policy refused, by the error's code. Never waits.
    pub fn count_refusal(&self, code: &str) {
        if let Ok(code) = Word::parse(code) {
            self.queue.count_refusal(code);
        }
    }

    /// How many receipts and notes were dropped because the queue was full. The log gets an entry with the number of lost
    /// receipts once the database works again.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// How many receipts, refusals and notes are queued.
    pub fn waiting(&self) -> u64 {
        self.queue.waiting()
    }

    /// A counter for rows that the ledger drops.
    pub(crate) fn losses(&self) -> Losses {
        Losses(self.queue.clone())
    }

    /// Whether the database accepts entries.
    pub(crate) fn health(&self) -> &StoreHealth {
        &self.health
    }

    /// Enters everything that is queued.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.queue.send(|reply| Command::Flush { reply }).await
    }

    /// Tries once to enter everything that is queued, and stops.
    pub async fn close(&self) {
        self.close_within(Duration::ZERO).await;
    }

    /// Enters everything that is queued, with retries for up to `timeout`, and stops. Returns how many entries were
    /// dropped.
    pub(crate) async fn close_within(&self, timeout: Duration) -> u64 {
        let began = Instant::now();
        while self.flush().await.is_err() && began.elapsed() < timeout {
            tokio::time::sleep(RETRY).await;
        }
        let waiting = self.queue.waiting();
        self.queue.close();
        if let Some(writer) = self.writer.lock().await.take() {
            let _ = writer.await;
        }
        self.store.close().await;
        waiting
    }
}
