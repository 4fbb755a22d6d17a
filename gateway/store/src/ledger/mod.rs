//! What is written down: API key digests, usage rows, receipts, sessions, epochs.
//!
//! One SQLite file in WAL mode, readable by its owner only. Requests never wait for it: rows are handed to one
//! writer that commits them in batches, and whatever was handed over is found by a reader at once, committed or
//! not. Nothing in this module can name a prompt: a row is made of numbers, digests and operator-chosen names.
//!
//! Beside the rows stands the [audit log](crate::audit), in a file of its own: what changes keys says so there first,
//! and every receipt that is stored here is entered there.

mod admins;
mod alone;
mod clock;
mod epochs;
mod expiry;
mod inspect;
mod keys;
mod pending;
mod policies;
mod receipts;
mod records;
mod rows;
mod schema;
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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use attest_core::log::{AdminAction, EpochEnd};
use attest_core::{SessionId, Sha256Digest, UnixTime};
use bytes::Bytes;
use sqlx::SqlitePool;

use crate::audit::{AuditError, AuditLog};
use crate::sqlite::Health;
use alone::Alone;
use gateway_base::config::LedgerBounds;
use gateway_base::events::LedgerWork;
use gateway_base::request::Name;
use gateway_base::store_failure::{Cause, StoreFailure};

pub use admins::{AdminRow, Role};
pub use clock::{BELIEVED_GAP, Resumed, RetentionClock};
pub use epochs::EpochRow;
pub use expiry::Purged;
pub use inspect::{StateSeen, inspect};
pub use keys::{ChangeWatch, ChangedKeys};
pub use keys::{KeyRow, NewKey};
pub use pending::RowCounts;
pub use policies::PolicyRow;
pub use records::{FoundRecord, RecordRow, RecordState};
pub use rows::{ReceiptRow, SessionRow};
pub use usage::UsageSum;

/// After the audit log refused its last entry.
const RETRY: Duration = Duration::from_millis(500);

/// Why something could not be written down or read back.
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

impl LedgerError {
    /// What failed, in SQLite's terms as far as it was SQLite.
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

/// What was handed over and could not be written when the service stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unwritten {
    pub rows: RowCounts,
    /// Receipts, refusals and notes that are not in the audit log.
    pub log_entries: u64,
}

impl Unwritten {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Which database does not accept what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// `ledger` or `audit_log`.
    pub database: &'static str,
    /// None where a statement has not failed and not returned either.
    pub failure: Option<StoreFailure>,
    pub since: Duration,
}

/// The open ledger.
pub struct Ledger {
    /// None where only keys are read and changed: that is done beside a service that runs.
    alone: Mutex<Option<Alone>>,
    path: PathBuf,
    pool: SqlitePool,
    /// For what must be on the disk before a request is forwarded.
    flushing: SqlitePool,
    audit: AuditLog,
    pending: Arc<pending::Pending>,
    health: Arc<Health>,
    bounds: LedgerBounds,
    clock: RetentionClock,
    /// What was deleted and not returned yet.
    purged: tokio::sync::Mutex<Purged>,
    resumed: Resumed,
    /// Requests that have a row before they are forwarded, counted by this process.
    unfinished: AtomicI64,
    writer: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Ledger {
    /// Opens `ledger.sqlite` in `state_dir`, creating both as needed, and starts the writer.
    ///
    /// Sessions are kept for as long as receipts may cite them, and receipts for at most `keep`. Fails with
    /// [`LedgerError::InUse`] while another service has it open.
    pub async fn open(state_dir: &Path, keep: Duration) -> Result<Self, LedgerError> {
        Self::open_bounded(state_dir, keep, LedgerBounds::default()).await
    }

    /// The same, with bounds of the operator's.
    pub async fn open_bounded(
        state_dir: &Path,
        keep: Duration,
        bounds: LedgerBounds,
    ) -> Result<Self, LedgerError> {
        let path = schema::create(state_dir)?;
        let alone = Alone::claim(state_dir)?;
        schema::check(&path).await?;
        let pool = schema::connect(&path).await?;
        let audit = AuditLog::open(state_dir).await?;
        unlogged::enter(&pool, &audit).await?;
        unfinished::settle(&pool).await?;
        let flushing = schema::connect_flushing(&path).await?;
        let pending = Arc::new(pending::Pending::new(bounds.max_waiting_rows));
        let health = Arc::new(Health::new(LedgerWork::Commit));
        let writer = writer::Writer {
            pool: pool.clone(),
            pending: pending.clone(),
            health: health.clone(),
            losses: audit.losses(),
            keep,
            stop_timeout: bounds.stop_timeout,
        };
        let writer = tokio::spawn(writer.run());
        let (clock, resumed) = expiry::resume(&pool).await?;
        Ok(Self {
            alone: Mutex::new(Some(alone)),
            path,
            pool,
            flushing,
            audit,
            pending,
            health,
            bounds,
            clock,
            purged: tokio::sync::Mutex::default(),
            resumed,
            unfinished: AtomicI64::new(0),
            writer: tokio::sync::Mutex::new(Some(writer)),
        })
    }

    /// Opens the ledger to read and change keys only: nothing is written in the background.
    pub async fn open_for_keys(state_dir: &Path) -> Result<Self, LedgerError> {
        let path = schema::create(state_dir)?;
        schema::check_keys(&path).await?;
        let pool = schema::connect(&path).await?;
        let (clock, resumed) = expiry::resume(&pool).await?;
        Ok(Self {
            alone: Mutex::default(),
            path,
            flushing: pool.clone(),
            pool,
            audit: AuditLog::open_beside(state_dir).await?,
            pending: Arc::new(pending::Pending::new(0)),
            health: Arc::new(Health::new(LedgerWork::Commit)),
            bounds: LedgerBounds::default(),
            clock,
            purged: tokio::sync::Mutex::default(),
            resumed,
            unfinished: AtomicI64::new(0),
            writer: tokio::sync::Mutex::new(None),
        })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is entered where it cannot be taken back.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// A place for the row of a request that must have one before it is forwarded.
    pub fn unfinished(&self) -> UnfinishedId {
        UnfinishedId(self.unfinished.fetch_add(1, Ordering::Relaxed))
    }

    /// Commits the row of a request before it is forwarded, and flushes it to the disk, in the place that `keep` names. The usage row that is
    /// handed over with the same `keep` takes it away; where none ever is, this one counts at the next start.
    pub async fn begin_usage(
        &self,
        row: &UsageRow,
        keep: &RowRetention,
    ) -> Result<(), LedgerError> {
        match keep.replaces {
            Some(id) => unfinished::add(&self.flushing, id, row, keep).await,
            None => Ok(()),
        }
    }

    /// Hands over a usage row, and what of it is kept. Never waits.
    pub fn record_usage(&self, row: UsageRow, keep: RowRetention) {
        self.count_loss(self.pending.push_usage(row, keep));
    }

    /// Hands over a signed receipt. It can be fetched as soon as this returns, and until then; its digest goes into
    /// the audit log.
    pub fn store_receipt(&self, row: ReceiptRow, until: UnixTime) {
        self.audit.receipt(Sha256Digest::hash(&row.json));
        self.count_loss(self.pending.push_receipt(row, until));
    }

    /// The time by which things expire.
    pub fn clock(&self) -> &RetentionClock {
        &self.clock
    }

    /// How the service found that time when it opened the ledger.
    pub fn clock_resumed(&self) -> Resumed {
        self.resumed
    }

    /// Enters into the audit log that there was no room for a row.
    fn count_loss(&self, pushed: Result<(), pending::NoRoom>) {
        if let Err(pending::NoRoom(kind)) = pushed {
            self.audit.losses().row(kind.as_str());
        }
    }

    /// Whether the database refused the last rows it was given.
    pub fn is_failing(&self) -> bool {
        self.health.failing().is_some()
    }

    /// Which database has accepted nothing for longer than the operator's `unready_after`: because it refuses, or
    /// because what it was given first has not been answered.
    pub fn failing_for_long(&self) -> Option<Failing> {
        let failing = |database, health: &Health, waited: Duration| {
            let (failure, refused_for) = health.failing().unzip();
            let since = refused_for.unwrap_or_default().max(waited);
            (since > self.bounds.unready_after).then_some(Failing {
                database,
                failure,
                since,
            })
        };
        failing("ledger", &self.health, self.pending.waiting().1)
            .or_else(|| failing("audit_log", self.audit.health(), Duration::ZERO))
    }

    /// How many rows wait to be committed, and for how long the oldest has.
    pub fn rows_waiting(&self) -> (usize, Duration) {
        self.pending.waiting()
    }

    /// Deletes what has expired, and notes the time. Returns how much it was, with what was deleted by calls before it that
    /// failed on the way.
    pub async fn purge(&self) -> Result<Purged, LedgerError> {
        let mut purged = self.purged.lock().await;
        expiry::purge(&self.pool, &self.clock, &mut purged).await?;
        Ok(std::mem::take(&mut *purged))
    }

    /// Notes an operator's word for what time it is.
    pub async fn accept_time(&self, now: UnixTime) -> Result<(), LedgerError> {
        Ok(expiry::note(&self.pool, now).await?)
    }

    /// Hands over a session document. It can be fetched as soon as this returns; storing it again changes nothing.
    pub fn store_session(&self, row: SessionRow) {
        self.count_loss(self.pending.push_session(row));
    }

    /// What metrics show of the ledger and the audit log.
    pub fn counts(&self) -> StoreCounts {
        let (rows_waiting, oldest_row_age) = self.rows_waiting();
        StoreCounts {
            rows_lost: self.rows_lost(),
            rows_waiting,
            oldest_row_age,
            log_entries_waiting: self.audit().waiting(),
            log_entries_lost: self.audit().given_up(),
        }
    }

    /// Rows that were dropped: because too many waited, because the database refused them alone, or at the end.
    pub fn rows_lost(&self) -> u64 {
        self.pending.lost()
    }

    /// The receipt with this receipt id or response id that belongs to `key_digest`, unless it has expired.
    pub async fn receipt(
        &self,
        id: &str,
        key_digest: &[u8; 32],
    ) -> Result<Option<Bytes>, LedgerError> {
        if let Some(json) = self.pending.receipt(id, key_digest) {
            return Ok(Some(json));
        }
        receipts::find(&self.pool, id, key_digest, self.clock.now()).await
    }

    pub async fn session(&self, id: &SessionId) -> Result<Option<Bytes>, LedgerError> {
        if let Some(json) = self.pending.session(id) {
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

    /// Registers a sealed record, before there is a file of it; on the disk when this returns.
    pub async fn add_record(&self, row: &RecordRow) -> Result<(), LedgerError> {
        records::add(&self.flushing, row).await
    }

    /// Notes how far a record got.
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

    /// Ids of records that have had their time, a thousand at most.
    pub async fn expired_records(&self, now: UnixTime) -> Result<Vec<String>, LedgerError> {
        records::expired(&self.pool, now).await
    }

    /// Forgets a record, after its files are gone. Says whether it was there.
    pub async fn remove_record(&self, receipt_id: &str) -> Result<bool, LedgerError> {
        records::remove(&self.pool, receipt_id).await
    }

    /// The chain of retention policies, the first one first.
    pub async fn policies(&self) -> Result<Vec<PolicyRow>, LedgerError> {
        policies::all(&self.pool).await
    }

    /// Appends a policy to the chain; says whether its place was free.
    pub async fn add_policy(&self, policy: &PolicyRow) -> Result<bool, LedgerError> {
        policies::add(&self.pool, policy).await
    }

    /// Puts other signatures under a policy of the chain.
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

    /// Registers a key; the audit log says so before it is good for anything. A tenant's first key makes the tenant.
    pub async fn add_key(&self, key: &NewKey) -> Result<(), LedgerError> {
        if !keys::knows(&self.pool, &key.tenant).await? {
            let subject = format!("tenant {}", key.tenant);
            self.audit
                .administered(key.created_at, AdminAction::TenantCreated, &subject)
                .await?;
        }
        let subject = format!("key {} of tenant {}", key.id, key.tenant);
        self.audit
            .administered(key.created_at, AdminAction::KeyCreated, &subject)
            .await?;
        keys::add(&self.pool, key).await
    }

    /// The number of the last change to the keys.
    pub async fn key_generation(&self) -> Result<i64, LedgerError> {
        keys::generation(&self.pool).await
    }

    /// Whether a service runs from `state_dir`.
    pub fn is_served(state_dir: &Path) -> bool {
        Alone::is_claimed(state_dir)
    }

    pub async fn keys(&self) -> Result<Vec<KeyRow>, LedgerError> {
        keys::all(&self.pool).await
    }

    /// Revokes a key; says whether there was an active one of that id. The audit log says so first.
    pub async fn revoke_key(&self, id: &str, at: UnixTime) -> Result<bool, LedgerError> {
        let Some(tenant) = keys::active(&self.pool, id).await? else {
            return Ok(false);
        };
        let subject = format!("key {id} of tenant {tenant}");
        self.audit
            .administered(at, AdminAction::KeyRevoked, &subject)
            .await?;
        keys::revoke(&self.pool, id, at).await
    }

    /// Revokes every key of a tenant; says how many were active. The audit log says so first.
    pub async fn remove_tenant(&self, tenant: &Name, at: UnixTime) -> Result<u64, LedgerError> {
        if keys::count_active(&self.pool, tenant).await? == 0 {
            return Ok(0);
        }
        let subject = format!("tenant {tenant}");
        self.audit
            .administered(at, AdminAction::TenantRemoved, &subject)
            .await?;
        keys::revoke_all(&self.pool, tenant, at).await
    }

    /// Registers an administrator; the audit log says so first.
    pub async fn add_administrator(&self, admin: &AdminRow) -> Result<(), LedgerError> {
        let subject = format!("admin key {} with the role {}", admin.id, admin.role);
        self.audit
            .administered(
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

    /// Revokes an admin key; says whether there was an active one of that id. The audit log says so first.
    pub async fn revoke_administrator(&self, id: &str, at: UnixTime) -> Result<bool, LedgerError> {
        let found = admins::find(&self.pool, id).await?;
        let Some(admin) = found.filter(|admin| admin.revoked_at.is_none()) else {
            return Ok(false);
        };
        let subject = format!("admin key {id} with the role {}", admin.role);
        self.audit
            .administered(at, AdminAction::AdministratorRevoked, &subject)
            .await?;
        admins::revoke(&self.pool, id, at).await
    }

    /// What was used from `since` on and before `until`, by tenant and model; committed rows only.
    pub async fn usage(
        &self,
        since: UnixTime,
        until: UnixTime,
    ) -> Result<Vec<UsageSum>, LedgerError> {
        usage::sums(&self.pool, since, until).await
    }

    /// Watches for changes that another process made.
    pub async fn change_watch(&self) -> Result<keys::ChangeWatch, LedgerError> {
        keys::ChangeWatch::open(&self.path).await
    }

    /// Commits everything handed over so far.
    pub async fn flush(&self) {
        self.pending.flushed().await;
    }

    /// Commits everything, stops the writer and leaves the state directory to others. What the databases do not accept
    /// within the operator's `stop_timeout` is dropped; returns how much that is.
    pub async fn close(&self) -> Unwritten {
        self.close_and_end(None).await
    }

    /// The same for a service that stops: the audit log's last entry says that its epoch ended, at `at`.
    pub async fn close_service(&self, at: UnixTime) -> Unwritten {
        self.close_and_end(Some(at)).await
    }

    async fn close_and_end(&self, epoch_ended: Option<UnixTime>) -> Unwritten {
        self.pending.close();
        if let Some(writer) = self.writer.lock().await.take() {
            let _ = writer.await;
        }
        let rows = self.pending.drop_rest();
        for (kind, count) in rows.by_kind() {
            self.audit.losses().rows(kind, count);
        }
        let began = Instant::now();
        let mut not_ended = epoch_ended;
        while let Some(at) = not_ended {
            match self.audit.end_epoch(at, EpochEnd::Stopped).await {
                Ok(()) => not_ended = None,
                Err(error) => self.audit.health().failed(error.failure()),
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
        // A lock that somebody panicked with is as good as any: there is only a claim in it to give up.
        *self.alone.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Unwritten { rows, log_entries }
    }
}
