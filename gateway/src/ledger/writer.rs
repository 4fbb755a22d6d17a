//! The one task that writes rows: everything that arrived within a moment, in one transaction.

use std::sync::Arc;
use std::time::Duration;

use attest_core::UnixTime;
use attest_core::retention::Field;
use sqlx::query_builder::Separated;
use sqlx::{Connection, QueryBuilder, Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::pending::{Batch, Pending};
use super::{Keep, ReceiptRow, SessionRow, UsageRow, unfinished};
use crate::events::{self, Event};
use crate::{Clock, SystemClock};

/// Rows wait this long for company before they are committed.
const GATHER: Duration = Duration::from_millis(25);
/// After the database refused a batch.
const RETRY: Duration = Duration::from_millis(500);
/// Attempts at the last batch when the service stops.
const LAST_ATTEMPTS: u32 = 5;
/// Rows of one statement. The database works in a thread of its own, and going there and back costs more than a row.
const ROWS_AT_ONCE: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

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
    let mut connection = pool.acquire().await?;
    let written = write(&mut connection, batch, now, keep).await;
    if written.is_err() {
        // On a full disk SQLite undoes a transaction by itself, and sqlx, which does not learn of it, would put the next
        // one inside one that never ends: rows would neither be committed nor anybody else be let write.
        connection.close_on_drop();
    }
    written
}

async fn write(
    connection: &mut SqliteConnection,
    batch: &Batch,
    now: UnixTime,
    keep: Duration,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for row in &batch.sessions {
        insert_session(&mut transaction, row, now, keep).await?;
    }
    for rows in in_few_sizes(&batch.receipts) {
        insert_receipts(&mut transaction, rows).await?;
    }
    for rows in in_few_sizes(&batch.usage) {
        insert_usage(&mut transaction, rows).await?;
    }
    for id in batch.usage.iter().filter_map(|(_, keep)| keep.instead_of) {
        unfinished::remove(&mut transaction, id).await?;
    }
    transaction.commit().await
}

/// The rows in runs of few different lengths, so that few different statements are prepared and then kept.
fn in_few_sizes<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = ROWS_AT_ONCE.into_iter().find(|size| *size <= rows.len())?;
        let (now, rest) = rows.split_at(size);
        rows = rest;
        Some(now)
    })
}

/// The columns that [`push_usage`] binds, in its order.
pub(super) const USAGE_COLUMNS: &str = "receipt_id, at, key_id, tenant, model, upstream, endpoint, stream, status, \
     outcome, prompt_tokens, completion_tokens, latency_us, first_byte_us, bytes_in, bytes_out, expires_at";

async fn insert_usage(
    transaction: &mut Transaction<'_, Sqlite>,
    rows: &[(UsageRow, Keep)],
) -> Result<(), sqlx::Error> {
    let mut insert = QueryBuilder::<Sqlite>::new(format!("INSERT INTO usage ({USAGE_COLUMNS}) "));
    insert.push_values(rows, |mut values, (row, keep)| {
        push_usage(&mut values, row, keep);
    });
    insert.build().execute(&mut **transaction).await?;
    Ok(())
}

/// Binds a row, less what the policy leaves out.
pub(super) fn push_usage(
    values: &mut Separated<'_, Sqlite, &'static str>,
    row: &UsageRow,
    keep: &Keep,
) {
    let kept = |field| keep.fields.contains(&field);
    let (timing, sizes) = (kept(Field::Timing), kept(Field::Sizes));
    let tokens = kept(Field::Tokens);
    values
        .push_bind(kept(Field::Receipt).then_some(&*row.receipt_id))
        .push_bind(signed(row.at.secs()))
        .push_bind(kept(Field::Key).then_some(&*row.key_id))
        .push_bind(row.tenant.as_str())
        .push_bind(row.model.as_deref().filter(|_| kept(Field::Model)))
        .push_bind(row.upstream.as_deref().filter(|_| kept(Field::Upstream)))
        .push_bind(row.endpoint.label())
        .push_bind(row.stream)
        .push_bind(row.status)
        .push_bind(row.outcome.as_str())
        .push_bind(row.prompt_tokens.filter(|_| tokens).map(signed))
        .push_bind(row.completion_tokens.filter(|_| tokens).map(signed))
        .push_bind(timing.then(|| micros(row.latency)))
        .push_bind(row.first_byte.filter(|_| timing).map(micros))
        .push_bind(sizes.then(|| signed(row.bytes_in)))
        .push_bind(sizes.then(|| signed(row.bytes_out)))
        .push_bind(signed(keep.until.secs()));
}

async fn insert_receipts(
    transaction: &mut Transaction<'_, Sqlite>,
    rows: &[(Arc<ReceiptRow>, UnixTime)],
) -> Result<(), sqlx::Error> {
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO receipts (receipt_id, chat_id, key_digest, json, served_at, expires_at) ",
    );
    insert.push_values(rows, |mut values, (row, until)| {
        values
            .push_bind(&row.receipt_id)
            .push_bind(row.chat_id.as_deref())
            .push_bind(&row.key_digest[..])
            .push_bind(&row.json[..])
            .push_bind(signed(row.served_at.secs()))
            .push_bind(signed(until.secs()));
    });
    insert.push(" ON CONFLICT (receipt_id) DO NOTHING");
    insert.build().execute(&mut **transaction).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_run_and_in_order() {
        for count in [0, 1, 3, 4, 37, 64, 200] {
            let rows: Vec<usize> = (0..count).collect();
            let runs: Vec<&[usize]> = in_few_sizes(&rows).collect();
            assert_eq!(runs.concat(), rows);
            assert!(runs.iter().all(|run| ROWS_AT_ONCE.contains(&run.len())));
        }
    }
}
