//! The ledger: API key digests, usage rows, receipts, sessions, epochs and retention policies.
//!
//! One SQLite file in WAL mode, readable by its owner only. Requests do not wait for it: one writer task commits queued
//! rows in batches, and queued receipts and sessions are found by readers at once. Nothing in this module can name a
//! prompt: a row is made of numbers, digests and operator-chosen names.
//!
//! The [audit log](crate::audit) is a separate file. A change of keys is entered there before it takes effect, and every
//! stored receipt is entered there too.

mod admins;
mod clock;
mod epochs;
mod expiry;
mod inspect;
mod keys;
mod policies;
mod receipts;
mod records;
mod row_queue;
mod rows;
mod schema;
mod state_dir_lock;
mod unfinished;
mod unlogged;
mod usage;
mod writer;

use crate::sqlite::store_failure;
use gateway_base::metering::RowRetention;
use gateway_base::metering::StoreCounts;
use gateway_base::metering::UnfinishedId;
use gateway_base::metering::UsageRow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use attest_core::log::{AdminAction, EpochEnd};
use attest_core::{SessionId, Sha256Digest, UnixTime};
use bytes::Bytes;
use sqlx::{Connection, SqlitePool};

use crate::audit::{AuditError, AuditLog};
use crate::sqlite::{DatabaseFile, Extent, OpenError, StoreHealth};
use gateway_base::config::LedgerBounds;
use gateway_base::events::LedgerWork;
use gateway_base::lock::lock;
use gateway_base::request::Name;
use gateway_base::store_failure::{Cause, StoreFailure};
use schema::LEDGER;
use state_dir_lock::StateDirLock;

pub use admins::{AdminRow, Role};
pub use clock::{RetentionClock, SystemClockCheck};
pub use epochs::EpochRow;
pub use expiry::Purged;
pub use inspect::{StateSummary, inspect};
pub use keys::{ChangeWatch, ChangedKeys};
pub use keys::{KeyRow, NewKey};
pub use policies::PolicyRow;
pub use records::{FoundRecord, RecordRow, RecordState};
pub use row_queue::RowCounts;
pub use rows::{ReceiptRow, SessionRow};
pub use usage::UsageSum;

/// How long a request waits for a flushing connection before it is refused.
const FLUSHING_TIMEOUT: Duration = Duration::from_secs(10);
/// After the audit log refused its last entry.
const RETRY: Duration = Duration::from_millis(500);

/// Why the ledger could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("cannot create {}: {source}", path.display())]
    Create {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("another service runs from {}", state_dir.display())]
    InUse { state_dir: PathBuf },
    #[error("{} was written by a newer version (schema {found}, this version knows {known})", path.display())]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error(
        "{} is damaged: {what}. Nothing was changed. Restore it from a backup, with the file -wal that belongs to it, \
         or read what can be read with `sqlite3 FILE .recover`. Moving it away begins an empty ledger: without API keys, \
         administrators, receipts and the history of retention policies", path.display()
    )]
    Damaged { path: PathBuf, what: String },
    #[error("the ledger is closed")]
    Closed,
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("stored {what} does not parse")]
    Corrupt { what: &'static str },
    #[error("{0}")]
    Audit(#[from] AuditError),
}

impl From<OpenError> for LedgerError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Create { path, source } => Self::Create { path, source },
            OpenError::Newer { path, found, known } => Self::Newer { path, found, known },
            OpenError::Damaged { path, what } => Self::Damaged { path, what },
            OpenError::Database(error) => Self::Database(error),
        }
    }
}

impl LedgerError {
    /// The failure's cause, with SQLite's code if there is one.
    pub fn failure(&self) -> StoreFailure {
        match self {
            LedgerError::Database(error) => store_failure(error),
            LedgerError::Audit(error) => error.failure(),
            LedgerError::Corrupt { .. } | LedgerError::Damaged { .. } => {
                StoreFailure::without_code(Cause::Corrupt)
            }
            LedgerError::Create { .. } => StoreFailure::without_code(Cause::Io),
            LedgerError::InUse { .. } | LedgerError::Newer { .. } | LedgerError::Closed => {
                StoreFailure::without_code(Cause::Other)
            }
        }
    }
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
    /// `ledger` or `audit_log`.
    pub database: &'static str,
    /// `None` if a statement has neither failed nor returned yet.
    pub failure: Option<StoreFailure>,
    pub since: Duration,
}

/// The open ledger.
pub struct Ledger {
    /// `None` if only keys are read and changed, beside a running service. Behind a mutex because `close` releases it.
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
    /// Deletions that were not reported yet. Locked for a whole purge, so that only one runs at a time.
    purged: tokio::sync::Mutex<Purged>,
    clock_check: SystemClockCheck,
    /// The next id of a row that is written before its request is forwarded. Unique within this process.
    unfinished: AtomicI64,
    /// The writer task. `close` takes it out and awaits it; a second `close` finds nothing.
    writer: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// Brings the file to the current schema and connects to it.
async fn connect(file: &DatabaseFile) -> Result<SqlitePool, LedgerError> {
    let mut connection = file.connect().await?;
    let (transaction, _) = file.migrate(&mut connection).await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(file.pool(4).await?)
}

impl Ledger {
    /// Opens `ledger.sqlite` in `state_dir`, creating both as needed, and starts the writer.
    ///
    /// Receipts are stored for at most `receipt_lifetime`, and sessions as long as receipts may cite them. Fails with
    /// [`LedgerError::InUse`] while another service has it open.
    pub async fn open(state_dir: &Path, receipt_lifetime: Duration) -> Result<Self, LedgerError> {
        Self::open_bounded(state_dir, receipt_lifetime, LedgerBounds::default()).await
    }

    /// Like [`open`](Self::open), with the operator's bounds.
    pub async fn open_bounded(
        state_dir: &Path,
        receipt_lifetime: Duration,
        bounds: LedgerBounds,
    ) -> Result<Self, LedgerError> {
        let file = LEDGER.create(state_dir)?;
        // Before the check, which reads the whole file: a second service is refused at once.
        let lock = StateDirLock::acquire(state_dir)?;
        file.check(Extent::WholeFile).await?;
        let pool = connect(&file).await?;
        let audit = AuditLog::open(state_dir).await?;
        unlogged::enter(&pool, &audit).await?;
        unfinished::move_to_usage(&pool).await?;
        let flushing = file.flushing_pool(2, FLUSHING_TIMEOUT).await?;
        let queue = Arc::new(row_queue::RowQueue::new(bounds.max_waiting_rows));
        let health = Arc::new(StoreHealth::new(LedgerWork::Commit));
        let writer = writer::Writer {
            pool: pool.clone(),
            queue: queue.clone(),
            health: health.clone(),
            losses: audit.losses(),
            receipt_lifetime,
            stop_timeout: bounds.stop_timeout,
        };
        let writer = tokio::spawn(writer.run());
        let (clock, clock_check) = expiry::resume(&pool).await?;
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
            clock_check,
            unfinished: AtomicI64::new(0),
            writer: tokio::sync::Mutex::new(Some(writer)),
        })
    }

    /// Opens the ledger to read and change keys only: nothing is written in the background.
    pub async fn open_for_keys(state_dir: &Path) -> Result<Self, LedgerError> {
        let file = LEDGER.create(state_dir)?;
        file.check(Extent::SmallTables).await?;
        let pool = connect(&file).await?;
        let (clock, clock_check) = expiry::resume(&pool).await?;
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
            clock_check,
            unfinished: AtomicI64::new(0),
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

    /// A new id for the row of a request that needs one before it is forwarded.
    pub fn unfinished(&self) -> UnfinishedId {
        UnfinishedId(self.unfinished.fetch_add(1, Ordering::Relaxed))
    }

    /// Commits and flushes the row of a request before it is forwarded, under the id `retention.replaces`. The usage row
    /// with the same `retention` replaces it. If the process ends before, the next start counts this row as usage.
    pub async fn begin_usage(
        &self,
        row: &UsageRow,
        retention: &RowRetention,
    ) -> Result<(), LedgerError> {
        match retention.replaces {
            Some(id) => unfinished::add(&self.flushing, id, row, retention).await,
            None => Ok(()),
        }
    }

    /// Queues a usage row. Never waits.
    pub fn record_usage(&self, row: UsageRow, retention: RowRetention) {
        self.count_loss(self.queue.push_usage(row, retention));
    }

    /// Queues a signed receipt, which can be fetched from now on until `until`. Its digest is entered into the audit log.
    pub fn store_receipt(&self, row: ReceiptRow, until: UnixTime) {
        self.audit.receipt(Sha256Digest::hash(&row.json));
        self.count_loss(self.queue.push_receipt(row, until));
    }

    /// The clock by which rows and records expire.
    pub fn clock(&self) -> &RetentionClock {
        &self.clock
    }

    /// How the system clock compared with the stored time when the ledger was opened.
    pub fn system_clock_check(&self) -> SystemClockCheck {
        self.clock_check
    }

    /// Counts a row that did not fit into the queue, for the audit log.
    fn count_loss(&self, pushed: Result<(), row_queue::QueueFull>) {
        if let Err(row_queue::QueueFull(kind)) = pushed {
            self.audit.losses().row(kind.as_str());
        }
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
        failing("ledger", &self.health, self.queue.waiting().1)
            .or_else(|| failing("audit_log", self.audit.health(), Duration::ZERO))
    }

    /// The number of queued rows, and the age of the oldest.
    pub fn rows_waiting(&self) -> (usize, Duration) {
        self.queue.waiting()
    }

    /// Deletes expired rows and stores the retention clock's time. Returns the number of deleted rows, including those of
    /// earlier calls that failed after some deletions.
    pub async fn purge(&self) -> Result<Purged, LedgerError> {
        let mut purged = self.purged.lock().await;
        expiry::purge(&self.pool, &self.clock, &mut purged).await?;
        Ok(std::mem::take(&mut *purged))
    }

    /// Stores a time that an operator confirmed.
    pub async fn accept_time(&self, now: UnixTime) -> Result<(), LedgerError> {
        Ok(expiry::store_time(&self.pool, now).await?)
    }

    /// Queues a session document, which can be fetched from now on. Storing it again changes nothing.
    pub fn store_session(&self, row: SessionRow) {
        self.count_loss(self.queue.push_session(row));
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

    /// The receipt with this receipt id or response id that belongs to `key_digest`, unless it has expired.
    pub async fn receipt(
        &self,
        id: &str,
        key_digest: &[u8; 32],
    ) -> Result<Option<Bytes>, LedgerError> {
        if let Some(json) = self.queue.receipt(id, key_digest) {
            return Ok(Some(json));
        }
        receipts::find(&self.pool, id, key_digest, self.clock.now()).await
    }

    pub async fn session(&self, id: &SessionId) -> Result<Option<Bytes>, LedgerError> {
        if let Some(json) = self.queue.session(id) {
            return Ok(Some(json));
        }
        receipts::find_session(&self.pool, id).await
    }

    /// The session documents stored last, committed ones only, the newest first.
    pub async fn newest_sessions(&self, count: u32) -> Result<Vec<Bytes>, LedgerError> {
        receipts::newest_sessions(&self.pool, count).await
    }

    /// Registers a new epoch and returns its number, one above every earlier one.
    pub async fn begin_epoch(&self, epoch: &EpochRow<'_>) -> Result<u64, LedgerError> {
        epochs::begin(&self.pool, epoch).await
    }

    /// Registers a sealed record before its files are created. On the disk when this returns.
    pub async fn add_record(&self, row: &RecordRow) -> Result<(), LedgerError> {
        records::add(&self.flushing, row).await
    }

    /// Stores how complete a record is.
    pub async fn set_record_state(
        &self,
        receipt_id: &str,
        state: RecordState,
    ) -> Result<(), LedgerError> {
        records::set_state(&self.pool, receipt_id, state).await
    }

    /// The record of this id that belongs to `key_digest`.
    pub async fn record(
        &self,
        receipt_id: &str,
        key_digest: &[u8; 32],
    ) -> Result<Option<FoundRecord>, LedgerError> {
        records::find(&self.pool, receipt_id, key_digest).await
    }

    /// Ids of expired records, at most a thousand.
    pub async fn expired_records(&self, now: UnixTime) -> Result<Vec<String>, LedgerError> {
        records::expired(&self.pool, now).await
    }

    /// Deletes the row of a record, after its files were deleted. Returns whether it existed.
    pub async fn remove_record(&self, receipt_id: &str) -> Result<bool, LedgerError> {
        records::remove(&self.pool, receipt_id).await
    }

    /// The chain of retention policies, the first one first.
    pub async fn policies(&self) -> Result<Vec<PolicyRow>, LedgerError> {
        policies::all(&self.pool).await
    }

    /// Appends a policy to the chain. Returns false if its epoch number is taken.
    pub async fn add_policy(&self, policy: &PolicyRow) -> Result<bool, LedgerError> {
        policies::add(&self.pool, policy).await
    }

    /// Replaces the signatures of a policy of the chain.
    pub async fn sign_policy(
        &self,
        digest: Sha256Digest,
        signatures: &str,
    ) -> Result<(), LedgerError> {
        policies::sign(&self.pool, digest, signatures).await
    }

    /// The number of the chain's last policy; 0 without one.
    pub async fn last_policy(&self) -> Result<u64, LedgerError> {
        policies::last(&self.pool).await
    }

    /// Registers a key, after entering it into the audit log. The first key of a tenant creates the tenant.
    pub async fn add_key(&self, key: &NewKey) -> Result<(), LedgerError> {
        if !keys::knows(&self.pool, &key.tenant).await? {
            let subject = format!("tenant {}", key.tenant);
            self.audit
                .append_admin_action(key.created_at, AdminAction::TenantCreated, &subject)
                .await?;
        }
        let subject = format!("key {} of tenant {}", key.id, key.tenant);
        self.audit
            .append_admin_action(key.created_at, AdminAction::KeyCreated, &subject)
            .await?;
        keys::add(&self.pool, key).await
    }

    /// The number of the last change to the keys.
    pub async fn key_generation(&self) -> Result<i64, LedgerError> {
        keys::generation(&self.pool).await
    }

    /// Whether a service runs from `state_dir`.
    pub fn is_served(state_dir: &Path) -> bool {
        StateDirLock::is_held(state_dir)
    }

    pub async fn keys(&self) -> Result<Vec<KeyRow>, LedgerError> {
        keys::all(&self.pool).await
    }

    /// Revokes a key, after entering it into the audit log. Returns false if no active key has that id.
    pub async fn revoke_key(&self, id: &str, at: UnixTime) -> Result<bool, LedgerError> {
        let Some(tenant) = keys::active(&self.pool, id).await? else {
            return Ok(false);
        };
        let subject = format!("key {id} of tenant {tenant}");
        self.audit
            .append_admin_action(at, AdminAction::KeyRevoked, &subject)
            .await?;
        keys::revoke(&self.pool, id, at).await
    }

    /// Revokes every key of a tenant, after entering it into the audit log. Returns how many were active.
    pub async fn remove_tenant(&self, tenant: &Name, at: UnixTime) -> Result<u64, LedgerError> {
        if keys::count_active(&self.pool, tenant).await? == 0 {
            return Ok(0);
        }
        let subject = format!("tenant {tenant}");
        self.audit
            .append_admin_action(at, AdminAction::TenantRemoved, &subject)
            .await?;
        keys::revoke_all(&self.pool, tenant, at).await
    }

    /// Registers an administrator, after entering it into the audit log.
    pub async fn add_administrator(&self, admin: &AdminRow) -> Result<(), LedgerError> {
        let subject = format!("admin key {} with the role {}", admin.id, admin.role);
        self.audit
            .append_admin_action(
                admin.created_at,
                AdminAction::AdministratorCreated,
                &subject,
            )
            .await?;
        admins::add(&self.pool, admin).await
    }

    /// The administrator with this admin key id, revoked or not.
    pub async fn administrator(&self, id: &str) -> Result<Option<AdminRow>, LedgerError> {
        admins::find(&self.pool, id).await
    }

    pub async fn administrators(&self) -> Result<Vec<AdminRow>, LedgerError> {
        admins::all(&self.pool).await
    }

    /// Revokes an admin key, after entering it into the audit log. Returns false if no active one has that id.
    pub async fn revoke_administrator(&self, id: &str, at: UnixTime) -> Result<bool, LedgerError> {
        let found = admins::find(&self.pool, id).await?;
        let Some(admin) = found.filter(|admin| admin.revoked_at.is_none()) else {
            return Ok(false);
        };
        let subject = format!("admin key {id} with the role {}", admin.role);
        self.audit
            .append_admin_action(at, AdminAction::AdministratorRevoked, &subject)
            .await?;
        admins::revoke(&self.pool, id, at).await
    }

    /// Usage from `since` until before `until`, by tenant and model; committed rows only.
    pub async fn usage(
        &self,
        since: UnixTime,
        until: UnixTime,
    ) -> Result<Vec<UsageSum>, LedgerError> {
        usage::sums(&self.pool, since, until).await
    }

    /// Watches for changes of keys by another process.
    pub async fn change_watch(&self) -> Result<keys::ChangeWatch, LedgerError> {
        keys::ChangeWatch::open(&self.file).await
    }

    /// Waits until every row queued so far is committed or dropped.
    pub async fn flush(&self) {
        self.queue.flushed().await;
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
        self.queue.close();
        if let Some(writer) = self.writer.lock().await.take() {
            let _ = writer.await;
        }
        let rows = self.queue.drop_rest();
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
