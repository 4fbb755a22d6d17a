//! The one task that writes rows: everything that arrived within a moment, in one transaction.

use std::sync::Arc;
use std::time::Duration;

use attest_core::UnixTime;
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::time::Instant;

use super::pending::{Batch, Pending};
use super::{ReceiptRow, SessionRow, UsageRow};
use crate::events::{self, Event};
use crate::{Clock, SystemClock};

/// Rows wait this long for company before they are committed.
const GATHER: Duration = Duration::from_millis(25);
/// After the database refused a batch.
const RETRY: Duration = Duration::from_millis(500);
/// Attempts at the last batch when the service stops.
const LAST_ATTEMPTS: u32 = 5;
const PURGE_EVERY: Duration = Duration::from_secs(600);

pub(super) async fn run(pool: SqlitePool, pending: Arc<Pending>, keep: Duration) {
    let mut purged = None;
    loop {
        if !pending.is_closed() {
            pending.something().await;
            if !pending.is_closed() {
                tokio::time::sleep(GATHER).await;
            }
        }
        let closing = pending.is_closed();
        let batch = pending.take();
        if !commit_until_done(&pool, &pending, &batch, keep).await {
            return;
        }
        pending.committed(&batch);
        if closing {
            return;
        }
        if purged.is_none_or(|at: Instant| at.elapsed() >= PURGE_EVERY) {
            purged = Some(Instant::now());
            if purge(&pool, SystemClock.now()).await.is_err() {
                events::emit(Event::LedgerFailed {
                    what: events::LedgerWork::Purge,
                });
            }
        }
    }
}

/// Repeats until the batch is committed, or gives up while stopping.
async fn commit_until_done(
    pool: &SqlitePool,
    pending: &Pending,
    batch: &Batch,
    keep: Duration,
) -> bool {
    let mut last = 0;
    while let Err(_error) = commit(pool, batch, SystemClock.now(), keep).await {
        events::emit(Event::LedgerFailed {
            what: events::LedgerWork::Commit,
        });
        if pending.is_closed() {
            last += 1;
            if last >= LAST_ATTEMPTS {
                return false;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
    true
}

async fn commit(
    pool: &SqlitePool,
    batch: &Batch,
    now: UnixTime,
    keep: Duration,
) -> Result<(), sqlx::Error> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    for row in &batch.sessions {
        insert_session(&mut transaction, row, now, keep).await?;
    }
    for row in &batch.receipts {
        insert_receipt(&mut transaction, row, now.plus(keep)).await?;
    }
    for row in &batch.usage {
        insert_usage(&mut transaction, row).await?;
    }
    transaction.commit().await
}

async fn insert_usage(
    transaction: &mut Transaction<'_, Sqlite>,
    row: &UsageRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO usage (receipt_id, at, key_id, tenant, model, upstream, endpoint, stream, status, outcome, \
         prompt_tokens, completion_tokens, latency_us, first_byte_us, bytes_in, bytes_out) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&row.receipt_id)
    .bind(signed(row.at.secs()))
    .bind(&*row.key_id)
    .bind(row.tenant.as_str())
    .bind(row.model.as_deref())
    .bind(row.upstream.as_deref())
    .bind(row.endpoint.label())
    .bind(row.stream)
    .bind(row.status)
    .bind(row.outcome.as_str())
    .bind(row.prompt_tokens.map(signed))
    .bind(row.completion_tokens.map(signed))
    .bind(micros(row.latency))
    .bind(row.first_byte.map(micros))
    .bind(signed(row.bytes_in))
    .bind(signed(row.bytes_out))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn insert_receipt(
    transaction: &mut Transaction<'_, Sqlite>,
    row: &ReceiptRow,
    expires_at: UnixTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO receipts (receipt_id, chat_id, key_digest, json, served_at, expires_at) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT (receipt_id) DO NOTHING",
    )
    .bind(&row.receipt_id)
    .bind(row.chat_id.as_deref())
    .bind(&row.key_digest[..])
    .bind(&row.json[..])
    .bind(signed(row.served_at.secs()))
    .bind(signed(expires_at.secs()))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn insert_session(
    transaction: &mut Transaction<'_, Sqlite>,
    row: &SessionRow,
    now: UnixTime,
    keep: Duration,
) -> Result<(), sqlx::Error> {
    // Receipts can cite a session until it expires, and are themselves kept for `keep` from then.
    let keep_until = row.expires_at.max(now).plus(keep);
    sqlx::query(
        "INSERT INTO sessions (id, json, keep_until) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&row.id.as_bytes()[..])
    .bind(&row.json[..])
    .bind(signed(keep_until.secs()))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

pub(super) async fn purge(pool: &SqlitePool, now: UnixTime) -> Result<(), sqlx::Error> {
    let now = signed(now.secs());
    sqlx::query("DELETE FROM receipts WHERE expires_at <= ?")
        .bind(now)
        .execute(pool)
        .await?;
    sqlx::query("DELETE FROM sessions WHERE keep_until <= ?")
        .bind(now)
        .execute(pool)
        .await?;
    Ok(())
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
