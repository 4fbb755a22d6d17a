//! Deletion of expired rows, and the stored time of the retention clock.

use attest_core::UnixTime;
use sqlx::SqlitePool;

use super::{LedgerError, RetentionClock, SystemClockCheck};
use attest_channel::Clock;
use attest_channel::SystemClock;

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

pub(super) async fn resume(
    pool: &SqlitePool,
) -> Result<(RetentionClock, SystemClockCheck), LedgerError> {
    Ok(RetentionClock::resume(
        stored_time(pool).await?,
        SystemClock.now(),
    ))
}

async fn stored_time(pool: &SqlitePool) -> Result<Option<UnixTime>, sqlx::Error> {
    let stored: Option<i64> = sqlx::query_scalar("SELECT now FROM retention_clock")
        .fetch_optional(pool)
        .await?;
    Ok(stored
        .and_then(|secs| u64::try_from(secs).ok())
        .map(UnixTime::from_secs))
}

/// Stores the time, unless a later time is stored.
pub(super) async fn store_time(pool: &SqlitePool, now: UnixTime) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO retention_clock (id, now) VALUES (1, ?) \
         ON CONFLICT (id) DO UPDATE SET now = max(now, excluded.now)",
    )
    .bind(signed(now))
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes expired rows and adds their number to `purged`, also if a later deletion fails.
pub(super) async fn purge(
    pool: &SqlitePool,
    clock: &RetentionClock,
    purged: &mut Purged,
) -> Result<(), LedgerError> {
    // Another process may have stored a later time: the command with which an operator confirms the system clock.
    if let Some(stored) = stored_time(pool).await? {
        clock.advance_to(stored);
    }
    let now = clock.now();
    for (statement, count) in [
        (
            "DELETE FROM usage WHERE rowid IN (SELECT rowid FROM usage WHERE expires_at <= ? LIMIT ?)",
            &mut purged.usage,
        ),
        (
            "DELETE FROM receipts WHERE rowid IN (SELECT rowid FROM receipts WHERE expires_at <= ? LIMIT ?)",
            &mut purged.receipts,
        ),
        (
            "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE keep_until <= ? LIMIT ?)",
            &mut purged.sessions,
        ),
    ] {
        let mut deleted = u64::from(AT_ONCE);
        while deleted == u64::from(AT_ONCE) {
            let done = sqlx::query(statement)
                .bind(signed(now))
                .bind(AT_ONCE)
                .execute(pool)
                .await?;
            deleted = done.rows_affected();
            *count += deleted;
        }
    }
    store_time(pool, now).await?;
    Ok(())
}

fn signed(time: UnixTime) -> i64 {
    i64::try_from(time.secs()).unwrap_or(i64::MAX)
}
