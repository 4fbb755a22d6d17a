//! The audit log's writer: durable first, signed second, published last.
//!
//! What an entry may say and how it is hashed and proven is [`attest_core::log`]'s; this room keeps
//! the entries, in `audit.sqlite` in the state directory. For the rooms that have something to enter:
//!
//! | call | for | when it returns |
//! |---|---|---|
//! | [`AuditLog::append`] | what must be on record before it happens | committed and flushed to the disk |
//! | [`AuditLog::administered`] | keys, tenants: the name goes in as a commitment | the same |
//! | [`AuditLog::begin_epoch`] | the one way to a key that signs heads; a change of the retention policy goes along | the same |
//! | [`AuditLog::end_epoch`], [`AuditLog::close`] | the service stops | the same |
//! | [`AuditLog::note`] | what happened, where nobody can wait: sessions, purges | at once; entered within [`PACE`] |
//! | [`AuditLog::receipt`], [`AuditLog::refused`] | each request: a push under a lock | at once; entered in batches, within [`PACE`] |
//!
//! What returns at once is not acknowledged: it is lost if the process dies before its batch is
//! committed. A receipt is acknowledged when a [proof](AuditLog::receipt_proof) of it is handed out, since
//! proofs are made of committed entries only.
//!
//! Heads are signed by the epoch in force ([`EpochLog`]), inside the transaction that commits what they
//! count, and published after it. So a head that anybody has seen counts entries that no crash can
//! take back, and no two heads of one size differ.
//!
//! Several processes may append (`sealgate keys` beside a running service): SQLite serialises them, and the
//! tree is read from the database in every transaction. Only the service signs.

mod epoch_log;
mod export;
mod open;
mod pending;
mod proofs;
mod store;
mod writer;

use crate::sqlite::store_failure;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use attest_core::log::{
    AdminAction, Commitment, Entry, EpochEnd, EpochStart, Fact, Origin, ReplayError,
    RetentionChange, Word,
};
use attest_core::{Sha256Digest, SigningKey, UnixTime};
use ring::rand::{SecureRandom, SystemRandom};

pub use epoch_log::EpochLog;
pub use export::{Export, ExportError};

use crate::sqlite::Health;
use gateway_base::events::LedgerWork;
use gateway_base::store_failure::{Cause, StoreFailure};
use pending::{Pending, Task};
use store::{Opening, Store};

/// Receipts, refusals and notes wait this long for company before they are entered.
pub const GATHER: Duration = Duration::from_millis(250);
/// And so long after those before them: a log that is always added to grows by an entry a second, and a start reads all
/// of it.
pub const PACE: Duration = Duration::from_secs(1);

/// After the database refused, when the service stops.
const RETRY: Duration = Duration::from_millis(500);

/// Why something could not be entered or read back.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("cannot create {}: {source}", path.display())]
    Create {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} was written by a newer version (schema {found}, this version knows {known})", path.display())]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error(
        "{} is damaged: {what}. Nothing was changed. Restore it from a backup, with the file -wal that belongs to it. \
         Moving it away begins a new log, with another origin: every auditor will ask why", path.display()
    )]
    Damaged { path: PathBuf, what: String },
    #[error("audit log: database: {0}")]
    Database(#[from] sqlx::Error),
    /// What is in the database is not what was entered. Moving it away begins a new log, with another
    /// origin: every auditor will ask why.
    #[error("{} is not the audit log that was written there: {what}", path.display())]
    Altered { path: PathBuf, what: Altered },
    #[error("audit log: no random bytes")]
    Random,
    #[error("audit log: an entry of {len} bytes is too long")]
    TooLong { len: usize },
    #[error("audit log: not entered: {0}")]
    NotEntered(Arc<AuditError>),
    #[error("audit log: closed")]
    Closed,
}

/// What shows that the database was changed by somebody else.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Altered {
    #[error("{0}")]
    Replay(#[from] ReplayError),
    #[error("the hash at position {position} is not that of its entries")]
    Hash { position: i64 },
    #[error("the head kept with it cannot be read")]
    Head,
    #[error("it has no entry {index}")]
    Missing { index: u64 },
    #[error("it has no first entry that begins a log")]
    Beginning,
}

impl AuditError {
    /// What failed, in SQLite's terms as far as it was SQLite.
    pub fn failure(&self) -> StoreFailure {
        match self {
            AuditError::Database(error) => store_failure(error),
            AuditError::NotEntered(error) => error.failure(),
            AuditError::Altered { .. } | AuditError::Damaged { .. } => {
                StoreFailure::without_code(Cause::Corrupt)
            }
            AuditError::Create { .. } => StoreFailure::without_code(Cause::Io),
            AuditError::Newer { .. }
            | AuditError::Random
            | AuditError::TooLong { .. }
            | AuditError::Closed => StoreFailure::without_code(Cause::Other),
        }
    }
}

/// Counts what the ledger drops, to be entered once the log accepts entries. Never waits.
#[derive(Clone)]
pub struct Losses(Arc<Pending>);

impl Losses {
    /// A row of this kind was dropped.
    pub fn row(&self, kind: &'static str) {
        self.rows(kind, 1);
    }

    pub fn rows(&self, kind: &'static str, count: u64) {
        self.0.rows_lost(kind, count);
    }
}

/// Where an entry was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its index; of the last one, where several went in together.
    pub index: u64,
}

/// A new epoch, for the log to tell of.
pub struct EpochBeginning {
    /// When, by the service's clock.
    pub at: UnixTime,
    /// Its contract. Its `key` must be the public half of `signing_key`.
    pub start: EpochStart,
    /// What signs heads from now on.
    pub signing_key: Arc<SigningKey>,
    /// The change of the retention policy that it begins for. Entered just before it, together.
    pub retention: Option<RetentionChange>,
}

/// The open log.
pub struct AuditLog {
    store: Arc<Store>,
    pending: Arc<Pending>,
    health: Arc<Health>,
    writer: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl AuditLog {
    /// Opens `audit.sqlite` in `state_dir`, begins a log if there is none, reads every entry there is,
    /// and refuses a log that was tampered with as far as the log itself shows it.
    pub async fn open(state_dir: &Path) -> Result<Self, AuditError> {
        let store = Store::open_checked(state_dir).await?;
        open::check(&store).await?;
        Ok(Self::start(store))
    }

    /// Reads the log as [`open`](Self::open) does, and changes nothing.
    pub async fn check(state_dir: &Path) -> Result<(), AuditError> {
        if let Some(store) = Store::open_to_read(state_dir).await? {
            open::check(&store).await?;
            store.readers().close().await;
        }
        Ok(())
    }

    /// Opens the log to append to it beside a service: without reading all of it.
    pub async fn open_beside(state_dir: &Path) -> Result<Self, AuditError> {
        Ok(Self::start(Store::open(state_dir).await?))
    }

    fn start(store: Store) -> Self {
        let store = Arc::new(store);
        let pending = Arc::new(Pending::default());
        let health = Arc::new(Health::new(LedgerWork::Audit));
        let writer = tokio::spawn(writer::run(store.clone(), pending.clone(), health.clone()));
        Self {
            store,
            pending,
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

    /// Enters something. Durable when this returns.
    pub async fn append(&self, entry: Entry) -> Result<Appended, AuditError> {
        self.pending
            .ask(|answer| Task::Append {
                entries: vec![(entry, None)],
                answer,
            })
            .await
    }

    /// Enters something about somebody: `subject` goes in as a commitment, and is kept beside the log.
    /// Call it before doing what it says. Durable when this returns.
    pub async fn administered(
        &self,
        at: UnixTime,
        action: AdminAction,
        subject: &str,
    ) -> Result<Appended, AuditError> {
        let mut salt = [0; 32];
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| AuditError::Random)?;
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
        self.pending
            .ask(|answer| Task::Append {
                entries: vec![(entry, Some(opening))],
                answer,
            })
            .await
    }

    /// Enters a new epoch, and the end of the one before it, and signs heads with its key from now on.
    /// Durable when this returns; do it last, when nothing else can keep the epoch from beginning.
    pub async fn begin_epoch(
        &self,
        beginning: EpochBeginning,
    ) -> Result<Arc<EpochLog>, AuditError> {
        self.pending
            .ask(|answer| Task::BeginEpoch {
                beginning: Box::new(beginning),
                answer,
            })
            .await
    }

    /// Enters that the epoch in force has ended.
    pub async fn end_epoch(&self, at: UnixTime, end: EpochEnd) -> Result<(), AuditError> {
        self.pending
            .ask(|answer| Task::EndEpoch { at, end, answer })
            .await
    }

    /// Hands over something to enter. Never waits; not acknowledged.
    pub fn note(&self, entry: Entry) {
        self.pending.note(entry);
    }

    /// Hands over the digest of a receipt. Never waits; not acknowledged.
    pub fn receipt(&self, digest: Sha256Digest) {
        self.pending.receipt(digest);
    }

    /// Counts a request refused by policy, by the error's code. Never waits; not acknowledged.
    pub fn refused(&self, code: &'static str) {
        if let Ok(code) = Word::parse(code) {
            self.pending.refused(code);
        }
    }

    /// What was handed over and had to be given up, since the database did not take it for too long.
    /// The log itself says so of receipts once it takes entries again.
    pub fn given_up(&self) -> u64 {
        self.pending.given_up()
    }

    /// How many receipts, refusals and notes wait to be entered.
    pub fn waiting(&self) -> u64 {
        self.pending.waiting()
    }

    /// Counts what the ledger drops.
    pub fn losses(&self) -> Losses {
        Losses(self.pending.clone())
    }

    /// Whether the database accepts entries.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Enters everything handed over so far.
    pub async fn flush(&self) -> Result<(), AuditError> {
        self.pending.ask(|answer| Task::Flush { answer }).await
    }

    /// Enters everything handed over, if the database accepts it at once, and stops.
    pub async fn close(&self) {
        self.close_within(Duration::ZERO).await;
    }

    /// Enters everything handed over and stops. What the database does not accept within `timeout` is dropped; returns
    /// how many entries that were.
    pub async fn close_within(&self, timeout: Duration) -> u64 {
        let began = Instant::now();
        while self.flush().await.is_err() && began.elapsed() < timeout {
            tokio::time::sleep(RETRY).await;
        }
        let waiting = self.pending.waiting();
        self.pending.close();
        if let Some(writer) = self.writer.lock().await.take() {
            let _ = writer.await;
        }
        self.store.close().await;
        waiting
    }
}
