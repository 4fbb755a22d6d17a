//! Deletion of expired rows, and the stored time of the retention clock, in the table `retention_clock`.

use sqlx::{SqliteExecutor, SqlitePool};
use tokio::sync::Mutex;

use super::columns::secs;
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
    // The ledger's, locked for a whole purge: only one runs at a time, and it reports what failed ones have deleted.
    pub(super) purged: &'a Mutex<Purged>,
}

impl Expiry<'_> {
    /// Deletes expired rows and stores the retention clock's time. Returns the number of deleted rows, including those of
    /// earlier calls that failed after some deletions.
    pub async fn purge(&self) -> Result<Purged, StoreError> {
        let mut purged = self.purged.lock().await;
        let done = purge(self.pool, self.clock, &mut purged).await;
        done.map_err(in_ledger)?;
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
    purged: &mut Purged,
) -> Result<(), sqlx::Error> {
    // Another process may have stored a later time: the command with which an operator confirms the system clock.
    if let Some(stored) = stored_time(pool).await? {
        clock.advance_to(stored);
    }
    let now = clock.now();
    let mut deleted = AT_ONCE.into();
    while deleted == u64::from(AT_ONCE) {
        deleted = usage::delete_expired(pool, now, AT_ONCE).await?;
        purged.usage += deleted;
    }
    deleted = AT_ONCE.into();
    while deleted == u64::from(AT_ONCE) {
        deleted = receipts::delete_expired(pool, now, AT_ONCE).await?;
        purged.receipts += deleted;
    }
    deleted = AT_ONCE.into();
    while deleted == u64::from(AT_ONCE) {
        deleted = sessions::delete_expired(pool, now, AT_ONCE).await?;
        purged.sessions += deleted;
    }
    store_time(pool, now).await
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
