//! Deletion of expired rows, and the stored time of the retention clock, in the table `retention_clock`.

use sqlx::{SqliteExecutor, SqlitePool};
use tokio::sync::Mutex;

use super::columns::secs;
use super::row_queue::RowQueue;
use super::{RetentionClock, in_ledger, receipts, sessions, usage};
use crate::error::StoreError;
use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_core::UnixTime;

/// Rows deleted in one transaction, so that a writer waits for at most this many deletions.
const AT_ONCE: u32 = 2000;

/// How many rows were deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    pub usage: u64,
    pub receipts: u64,
    pub sessions: u64,
}

impl Purged {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What expires, and by which time.
pub struct Expiry<'a> {
    pub(super) pool: &'a SqlitePool,
    pub(super) clock: &'a RetentionClock,
    pub(super) queue: &'a RowQueue,
    // The ledger's, locked for a whole purge: only one runs at a time, and it reports what failed ones have deleted.
    pub(super) purged: &'a Mutex<Purged>,
}

impl Expiry<'_> {
    /// Deletes expired rows and stores the retention clock's time. Returns the number of deleted rows, including those of
    /// earlier calls that failed after some deletions.
    pub async fn purge(&self) -> Result<Purged, StoreError> {
        let mut purged = self.purged.lock().await;
        let done = purge(self.pool, self.clock, self.queue, &mut purged).await;
        done?;
        Ok(std::mem::take(&mut *purged))
    }

    /// Stores a time that an operator confirmed.
    pub async fn accept_time(&self, now: UnixTime) -> Result<(), StoreError> {
        store_time(self.pool, now).await.map_err(in_ledger)
    }
}

pub(super) async fn resume(pool: &SqlitePool) -> Result<RetentionClock, StoreError> {
    let stored = stored_time(pool).await.map_err(in_ledger)?;
    Ok(RetentionClock::resume(stored, SystemClock.now()))
}

/// Deletes expired rows and adds their number to `purged`, also if a later deletion fails.
async fn purge(
    pool: &SqlitePool,
    clock: &RetentionClock,
    queue: &RowQueue,
    purged: &mut Purged,
) -> Result<(), StoreError> {
    // Another process may have stored a later time: the command with which an operator confirms the system clock.
    if let Some(stored) = stored_time(pool).await.map_err(in_ledger)? {
        clock.advance_to(stored);
    }
    let now = clock.now();
    // Rows expire in batches too. They are deleted from their tables.
    let moved = match queue.holds_expired(now) {
        true => queue.in_tables().await,
        false => Ok(()),
    };
    delete_all_expired(pool, now, purged)
        .await
        .map_err(in_ledger)?;
    moved.map_err(|failure| StoreError::NotWritten { failure })
}

async fn delete_all_expired(
    pool: &SqlitePool,
    now: UnixTime,
    purged: &mut Purged,
) -> Result<(), sqlx::Error> {
    delete_expired(pool, usage::DELETE_EXPIRED, now, &mut purged.usage).await?;
    delete_expired(pool, receipts::DELETE_EXPIRED, now, &mut purged.receipts).await?;
    delete_expired(pool, sessions::DELETE_EXPIRED, now, &mut purged.sessions).await?;
    store_time(pool, now).await
}

/// Runs a table's statement until nothing more has expired, and adds to `deleted` what each run has deleted.
async fn delete_expired(
    pool: &SqlitePool,
    statement: &'static str,
    now: UnixTime,
    deleted: &mut u64,
) -> Result<(), sqlx::Error> {
    loop {
        let done = sqlx::query(statement)
            .bind(secs(now))
            .bind(AT_ONCE)
            .execute(pool)
            .await?;
        *deleted += done.rows_affected();
        if done.rows_affected() < u64::from(AT_ONCE) {
            return Ok(());
        }
    }
}

async fn stored_time(on: impl SqliteExecutor<'_>) -> Result<Option<UnixTime>, sqlx::Error> {
    let stored: Option<i64> = sqlx::query_scalar("SELECT now FROM retention_clock")
        .fetch_optional(on)
        .await?;
    Ok(stored
        .and_then(|secs| u64::try_from(secs).ok())
        .map(UnixTime::from_secs))
}

/// Stores the time, unless a later time is stored.
async fn store_time(on: impl SqliteExecutor<'_>, now: UnixTime) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO retention_clock (id, now) VALUES (1, ?) \
         ON CONFLICT (id) DO UPDATE SET now = max(now, excluded.now)",
    )
    .bind(secs(now))
    .execute(on)
    .await?;
    Ok(())
}
