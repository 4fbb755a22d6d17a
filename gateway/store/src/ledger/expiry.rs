//! What has had its time, and the time.

use attest_core::UnixTime;
use sqlx::SqlitePool;

use super::{LedgerError, Resumed, RetentionClock};
use attest_channel::Clock;
use attest_channel::SystemClock;

/// Rows deleted in one transaction. A writer waits for no more than these, also after a day without a purge.
const AT_ONCE: u32 = 2000;

/// How many rows went.
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

pub(super) async fn resume(pool: &SqlitePool) -> Result<(RetentionClock, Resumed), LedgerError> {
    Ok(RetentionClock::resume(
        noted(pool).await?,
        SystemClock.now(),
    ))
}

async fn noted(pool: &SqlitePool) -> Result<Option<UnixTime>, sqlx::Error> {
    let noted: Option<i64> = sqlx::query_scalar("SELECT now FROM retention_clock")
        .fetch_optional(pool)
        .await?;
    Ok(noted
        .and_then(|secs| u64::try_from(secs).ok())
        .map(UnixTime::from_secs))
}

/// Notes the time. It never goes back.
pub(super) async fn note(pool: &SqlitePool, now: UnixTime) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO retention_clock (id, now) VALUES (1, ?) \
         ON CONFLICT (id) DO UPDATE SET now = max(now, excluded.now)",
    )
    .bind(signed(now))
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes what has expired and adds to `purged` how much that was, also where something fails before all of it is.
pub(super) async fn purge(
    pool: &SqlitePool,
    clock: &RetentionClock,
    purged: &mut Purged,
) -> Result<(), LedgerError> {
    // Somebody may have noted a later time than ours: an operator who accepted the system's.
    if let Some(noted) = noted(pool).await? {
        clock.advance_to(noted);
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
    note(pool, now).await?;
    Ok(())
}

fn signed(time: UnixTime) -> i64 {
    i64::try_from(time.secs()).unwrap_or(i64::MAX)
}
