//! The ledger: API key digests and who holds them, usage rows, receipts, sessions, epochs and retention policies.
//!
//! One SQLite file in WAL mode, readable by its owner only. Requests do not wait for it: they append encoded rows to a
//! batch in memory, and one writer thread stores batches and later moves their rows to the tables. Receipts and sessions
//! are found at once, wherever they are. Nothing in this module can name a prompt: a row is made of numbers, digests and
//! operator-chosen names.
//!
//! The [audit log](crate::audit) is a separate file. A change of keys is entered there before it takes effect, and every
//! stored receipt is entered there too.

mod admins;
mod batch;
mod batches;
mod budgets;
mod clock;
mod columns;
#[cfg(test)]
mod cost_tests;
mod directory;
mod epochs;
mod expiry;
mod inspect;
mod keys;
mod limits;
mod policies;
mod receipts;
mod records;
mod row_queue;
mod schedule;
mod schema;
mod sessions;
mod state_dir_lock;
mod unfinished;
mod unlogged;
mod unpack;
mod usage;
mod usage_groups;
mod writer;

use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sqlx::{Connection, SqlitePool};

use crate::audit::AuditLog;
use crate::error::{DatabaseName, StoreError};
use crate::sqlite::{DatabaseFile, Extent, StoreHealth};
use attest_core::UnixTime;
use attest_core::log::EpochEnd;
use gateway_base::config::LedgerBounds;
use gateway_base::events::LedgerWork;
use gateway_base::lock::lock;
use gateway_base::metering::StoreCounts;
use gateway_base::store_failure::StoreFailure;
use schema::LEDGER;
use state_dir_lock::StateDirLock;

pub use admins::{AdminRow, Admins};
pub use budgets::Budgets;
pub use clock::{RetentionClock, SystemClockCheck};
pub use directory::{
    ActiveKeys, DirectoryError, DirectoryRows, HolderChanges, LabelChanges, Listed, NewTenant,
    OrganisationRow, Organisations, TenantChanges, TenantRow, Tenants, UserRow, Users,
};
pub use epochs::{EpochRow, Epochs};
pub use expiry::{Expiry, Purged};
pub use inspect::{StateSummary, inspect};
pub use keys::{ChangeWatch, ChangedKeys, KeyChanges, KeyRow, Keys, NewKey, Replacement};
pub use limits::{LimitRow, Limits};
pub use policies::{Policies, PolicyRow};
pub use receipts::{ReceiptRow, Receipts};
pub use records::{FoundRecord, RecordRow, RecordState, Records};
pub use row_queue::RowCounts;
pub use sessions::{SessionRow, Sessions};
pub use usage::{Usage, UsageSum};
pub use usage_groups::{Dimension, GroupValue, GroupsError, MAX_GROUPS, UsageGroup, UsageQuery};

/// How long a request waits for a flushing connection before it is refused.
const FLUSHING_TIMEOUT: Duration = Duration::from_secs(10);
/// After the audit log refused its last entry.
const RETRY: Duration = Duration::from_millis(500);

/// Names the ledger as the database in which a statement failed.
fn in_ledger(error: sqlx::Error) -> StoreError {
    StoreError::statement(DatabaseName::Ledger, error)
}

/// Queued rows and log entries that could not be written before the service stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedAtStop {
    pub rows: RowCounts,
    /// Receipts, refusals and notes that are missing in the audit log.
    pub log_entries: u64,
}

impl DroppedAtStop {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A database that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailingDatabase {
    pub database: DatabaseName,
    /// `None` if a statement has neither failed nor returned yet.
    pub failure: Option<StoreFailure>,
    pub since: Duration,
}

/// The open ledger.
pub struct Ledger {
    // `None` if only keys are read and changed, beside a running service. Taken out by `close` only, which releases it.
    lock: Mutex<Option<StateDirLock>>,
    file: DatabaseFile,
    pool: SqlitePool,
    /// Connections for rows that must be on the disk before a request is forwarded.
    flushing: SqlitePool,
    audit: AuditLog,
    queue: Arc<row_queue::RowQueue>,
    health: Arc<StoreHealth>,
    bounds: LedgerBounds,
    clock: RetentionClock,
    // Deletions that were not reported yet. Locked for a whole purge, so that only one runs at a time.
    purged: tokio::sync::Mutex<Purged>,
    // The next id of a row that is written before its request is forwarded. Unique within this process, which is enough:
    // the start moves the rows of an earlier one away. It orders nothing, so `Relaxed` is enough too.
    unfinished: AtomicI64,
    receipt_lifetime: Duration,
    // The writer thread. `close` takes it out and awaits its end; a second `close` finds nothing.
    writer: tokio::sync::Mutex<Option<writer::WriterThread>>,
}

/// Brings the file to the current schema and connects to it.
async fn connect(file: &DatabaseFile) -> Result<SqlitePool, StoreError> {
    let mut connection = file.connect().await?;
    let (transaction, _) = file.migrate(&mut connection).await?;
    transaction.commit().await.map_err(in_ledger)?;
    connection.close().await.map_err(in_ledger)?;
    file.pool(4).await
}

impl Ledger {
    /// Opens `ledger.sqlite` in `state_dir`, creating both as needed, and starts the writer.
    ///
    /// Receipts are stored for at most `receipt_lifetime`, and sessions as long as receipts may cite them. Fails with
    /// [`StoreError::InUse`] while another service has it open.
    pub async fn open(state_dir: &Path, receipt_lifetime: Duration) -> Result<Self, StoreError> {
        Self::open_bounded(state_dir, receipt_lifetime, LedgerBounds::default()).await
    }

    /// Like [`open`](Self::open), with the operator's bounds.
    pub async fn open_bounded(
        state_dir: &Path,
        receipt_lifetime: Duration,
        bounds: LedgerBounds,
    ) -> Result<Self, StoreError> {
        let file = LEDGER.create(state_dir)?;
        // Before the check, which reads the whole file: a second service is refused at once.
        let lock = StateDirLock::acquire(state_dir)?;
        file.check(Extent::WholeFile).await?;
        let pool = connect(&file).await?;
        let audit = AuditLog::open(state_dir).await?;
        // Before the writer starts: these rows are those of an earlier process.
        let mut connection = file.connect().await?;
        let unpacked = writer::unpack_leftovers(&mut connection, &audit.losses()).await;
        unpacked.map_err(in_ledger)?;
        connection.close().await.map_err(in_ledger)?;
        unlogged::enter(&pool, &audit).await?;
        let moved = unfinished::move_to_usage(&pool).await;
        moved.map_err(in_ledger)?;
        let flushing = file.flushing_pool(2, FLUSHING_TIMEOUT).await?;
        let queue = Arc::new(row_queue::RowQueue::new(bounds.max_waiting_rows));
        let health = Arc::new(StoreHealth::new(LedgerWork::Commit));
        let writer = writer::Writer {
            file: file.clone(),
            queue: queue.clone(),
            health: health.clone(),
            losses: audit.losses(),
            stop_timeout: bounds.stop_timeout,
        };
        let writer = writer.start()?;
        let clock = expiry::resume(&pool).await?;
        Ok(Self {
            lock: Mutex::new(Some(lock)),
            file,
            pool,
            flushing,
            audit,
            queue,
            health,
            bounds,
            clock,
            purged: tokio::sync::Mutex::default(),
            unfinished: AtomicI64::new(0),
            receipt_lifetime,
            writer: tokio::sync::Mutex::new(Some(writer)),
        })
    }

    /// Opens the ledger to read and change keys only: nothing is written in the background.
    pub async fn open_for_keys(state_dir: &Path) -> Result<Self, StoreError> {
        let file = LEDGER.create(state_dir)?;
        file.check(Extent::SmallTables).await?;
        let pool = connect(&file).await?;
        let clock = expiry::resume(&pool).await?;
        Ok(Self {
            lock: Mutex::default(),
            file,
            flushing: pool.clone(),
            pool,
            audit: AuditLog::open_beside(state_dir).await?,
            queue: Arc::new(row_queue::RowQueue::new(0)),
            health: Arc::new(StoreHealth::new(LedgerWork::Commit)),
            bounds: LedgerBounds::default(),
            clock,
            purged: tokio::sync::Mutex::default(),
            unfinished: AtomicI64::new(0),
            receipt_lifetime: Duration::ZERO,
            writer: tokio::sync::Mutex::new(None),
        })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The audit log.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// API keys.
    pub fn keys(&self) -> Keys<'_> {
        Keys {
            pool: &self.pool,
            audit: &self.audit,
            file: &self.file,
        }
    }

    /// Organisations.
    pub fn organisations(&self) -> Organisations<'_> {
        Organisations {
            pool: &self.pool,
            audit: &self.audit,
        }
    }

    /// Tenants.
    pub fn tenants(&self) -> Tenants<'_> {
        Tenants {
            pool: &self.pool,
            audit: &self.audit,
        }
    }

    /// Users and service accounts of tenants.
    pub fn users(&self) -> Users<'_> {
        Users {
            pool: &self.pool,
            audit: &self.audit,
        }
    }

    /// Budgets and credits.
    pub fn budgets(&self) -> Budgets<'_> {
        Budgets {
            pool: &self.pool,
            audit: &self.audit,
        }
    }

    /// Rate limits.
    pub fn limits(&self) -> Limits<'_> {
        Limits {
            pool: &self.pool,
            audit: &self.audit,
        }
    }

    /// Administrators.
    pub fn admins(&self) -> Admins<'_> {
        Admins {
            pool: &self.pool,
            audit: &self.audit,
        }
    }

    /// The chain of retention policies.
    pub fn policies(&self) -> Policies<'_> {
        Policies { pool: &self.pool }
    }

    /// Epochs.
    pub fn epochs(&self) -> Epochs<'_> {
        Epochs { pool: &self.pool }
    }

    /// Sealed records.
    pub fn records(&self) -> Records<'_> {
        Records {
            pool: &self.pool,
            flushing: &self.flushing,
        }
    }

    /// Signed receipts.
    pub fn receipts(&self) -> Receipts<'_> {
        Receipts {
            pool: &self.pool,
            queue: &self.queue,
            audit: &self.audit,
            clock: &self.clock,
        }
    }

    /// Attested sessions.
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions {
            pool: &self.pool,
            queue: &self.queue,
            audit: &self.audit,
            receipt_lifetime: self.receipt_lifetime,
        }
    }

    /// Usage rows and their sums.
    pub fn usage(&self) -> Usage<'_> {
        Usage {
            pool: &self.pool,
            queue: &self.queue,
            audit: &self.audit,
            unfinished: &self.unfinished,
        }
    }

    /// Deletion of what has expired by [`clock`](Self::clock).
    pub fn expiry(&self) -> Expiry<'_> {
        Expiry {
            pool: &self.pool,
            clock: &self.clock,
            queue: &self.queue,
            purged: &self.purged,
        }
    }

    /// The clock by which rows and records expire.
    pub fn clock(&self) -> &RetentionClock {
        &self.clock
    }

    /// Whether the last write failed.
    pub fn is_failing(&self) -> bool {
        self.health.failing().is_some()
    }

    /// The database that has failed, or not answered, for longer than the operator's `unready_after`.
    pub fn unready_database(&self) -> Option<FailingDatabase> {
        let failing = |database, health: &StoreHealth, waited: Duration| {
            let (failure, refused_for) = health.failing().unzip();
            let since = refused_for.unwrap_or_default().max(waited);
            (since > self.bounds.unready_after).then_some(FailingDatabase {
                database,
                failure,
                since,
            })
        };
        failing(DatabaseName::Ledger, &self.health, self.queue.waiting().1)
            .or_else(|| failing(DatabaseName::AuditLog, self.audit.health(), Duration::ZERO))
    }

    /// The number of rows that are not durable yet, and the age of the oldest.
    pub fn rows_waiting(&self) -> (usize, Duration) {
        self.queue.waiting()
    }

    /// The counts of the ledger's and the audit log's queues, for metrics.
    pub fn counts(&self) -> StoreCounts {
        let (rows_waiting, oldest_row_age) = self.rows_waiting();
        StoreCounts {
            rows_lost: self.rows_lost(),
            rows_waiting,
            oldest_row_age,
            log_entries_waiting: self.audit().waiting(),
            log_entries_lost: self.audit().dropped(),
        }
    }

    /// Dropped rows: the queue was full, the database refused the row, or the service stopped.
    pub fn rows_lost(&self) -> u64 {
        self.queue.lost()
    }

    /// Whether a service runs from `state_dir`.
    pub fn is_served(state_dir: &Path) -> bool {
        StateDirLock::is_held(state_dir)
    }

    /// Waits until every row queued so far is in its table or dropped.
    pub async fn flush(&self) {
        while self.queue.in_tables().await.is_err() && !self.queue.has_ended() {}
    }

    /// Commits queued rows, stops the writer and releases the lock of the state directory. Rows that the databases do not
    /// accept within the operator's `stop_timeout` are dropped; returns their number.
    pub async fn close(&self) -> DroppedAtStop {
        self.close_and_end(None).await
    }

    /// Like [`close`](Self::close), and the last entry of the audit log is the end of the epoch, at `at`.
    pub async fn close_service(&self, at: UnixTime) -> DroppedAtStop {
        self.close_and_end(Some(at)).await
    }

    async fn close_and_end(&self, epoch_ended: Option<UnixTime>) -> DroppedAtStop {
        // The ledger's rows before the log's end: rows that are lost here are entered into the log.
        self.queue.close();
        if let Some(writer) = self.writer.lock().await.take() {
            let _ = tokio::task::spawn_blocking(|| writer.join()).await;
        }
        let rows = self.queue.end();
        for (kind, count) in rows.by_kind() {
            self.audit.losses().rows(kind, count);
        }
        let began = Instant::now();
        let mut not_ended = epoch_ended;
        while let Some(at) = not_ended {
            match self.audit.end_epoch(at, EpochEnd::Stopped).await {
                Ok(()) => not_ended = None,
                Err(error) => self.audit.health().record_failure(error.failure()),
            }
            if not_ended.is_none() || began.elapsed() >= self.bounds.stop_timeout {
                break;
            }
            tokio::time::sleep(RETRY).await;
        }
        let left = self.bounds.stop_timeout.saturating_sub(began.elapsed());
        let log_entries = self.audit.close_within(left).await + u64::from(not_ended.is_some());
        self.flushing.close().await;
        self.pool.close().await;
        // Last: another service may open the files from here on.
        *lock(&self.lock) = None;
        DroppedAtStop { rows, log_entries }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}
