//! The one task that writes rows: everything that arrived within a moment, in one transaction.

use std::sync::Arc;
use std::time::Duration;

use attest_core::UnixTime;
use attest_core::retention::Field;
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::pending::{Batch, Pending};
use super::{Keep, ReceiptRow, SessionRow, UsageRow};
use crate::events::{self, Event};
use crate::{Clock, SystemClock};

/// Rows wait this long for company before they are committed.
const GATHER: Duration = Duration::from_millis(25);
/// After the database refused a batch.
const RETRY: Duration = Duration::from_millis(500);
/// Attempts at the last batch when the service stops.
const LAST_ATTEMPTS: u32 = 5;

pub(super) async fn run(pool: SqlitePool, pending: Arc<Pending>, keep: Duration) {
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
    let mut failed = false;
    while let Err(_error) = commit(pool, batch, SystemClock.now(), keep).await {
        failed = true;
        pending.set_failing(true);
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
    if failed {
        pending.set_failing(false);
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
    for (row, until) in &batch.receipts {
        insert_receipt(&mut transaction, row, *until).await?;
    }
    for (row, keep) in &batch.usage {
        insert_usage(&mut transaction, row, keep).await?;
    }
    transaction.commit().await
}

async fn insert_usage(
    transaction: &mut Transaction<'_, Sqlite>,
    row: &UsageRow,
    keep: &Keep,
) -> Result<(), sqlx::Error> {
    let kept = |field| keep.fields.contains(&field);
    let (timing, sizes) = (kept(Field::Timing), kept(Field::Sizes));
    let tokens = kept(Field::Tokens);
    sqlx::query(
        "INSERT INTO usage (receipt_id, at, key_id, tenant, model, upstream, endpoint, stream, status, outcome, \
         prompt_tokens, completion_tokens, latency_us, first_byte_us, bytes_in, bytes_out, expires_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(kept(Field::Receipt).then_some(&row.receipt_id))
    .bind(signed(row.at.secs()))
    .bind(kept(Field::Key).then_some(&*row.key_id))
    .bind(row.tenant.as_str())
    .bind(row.model.as_deref().filter(|_| kept(Field::Model)))
    .bind(row.upstream.as_deref().filter(|_| kept(Field::Upstream)))
    .bind(row.endpoint.label())
    .bind(row.stream)
    .bind(row.status)
    .bind(row.outcome.as_str())
    .bind(row.prompt_tokens.filter(|_| tokens).map(signed))
    .bind(row.completion_tokens.filter(|_| tokens).map(signed))
    .bind(timing.then(|| micros(row.latency)))
    .bind(row.first_byte.filter(|_| timing).map(micros))
    .bind(sizes.then(|| signed(row.bytes_in)))
    .bind(sizes.then(|| signed(row.bytes_out)))
    .bind(signed(keep.until.secs()))
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

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
