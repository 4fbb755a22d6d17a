//! The one task that writes rows: everything that arrived within a moment, in one transaction.

use crate::sqlite::store_failure;
use std::sync::Arc;
use std::time::Duration;

use attest_core::UnixTime;
use attest_core::retention::Field;
use sqlx::query_builder::Separated;
use sqlx::{Connection, QueryBuilder, Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::pending::{Pending, Row};
use super::{ReceiptRow, SessionRow, unfinished};
use crate::audit::Losses;
use crate::sqlite::Health;
use attest_channel::Clock;
use attest_channel::SystemClock;
use gateway_base::events::{self, Event};
use gateway_base::metering::{RowRetention, UsageRow};
use gateway_base::store_failure::{Remedy, StoreFailure};

/// Rows wait this long for company before they are committed.
const GATHER: Duration = Duration::from_millis(25);
/// After the database refused a transaction.
const RETRY: Duration = Duration::from_millis(500);
/// Rows of one transaction.
const MAX_ROWS: usize = 4096;
/// Rows of one statement. The database works in a thread of its own, and going there and back costs more than a row.
const ROWS_AT_ONCE: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// The writer, and what it reports to.
pub(super) struct Writer {
    pub pool: SqlitePool,
    pub pending: Arc<Pending>,
    pub health: Arc<Health>,
    pub losses: Losses,
    /// How long sessions are kept after receipts can cite them.
    pub keep: Duration,
    /// How long it goes on when the service stops and the database accepts nothing.
    pub stop_timeout: Duration,
}

impl Writer {
    /// Commits rows until the service stops; then those that are left, as far as the database accepts them in time.
    pub async fn run(self) {
        let mut size = ChunkSize::default();
        loop {
            self.pending.something().await;
            let stopping = self.pending.closed_for().is_some();
            if !stopping {
                tokio::time::sleep(GATHER).await;
            }
            let written = self.write_waiting(&mut size).await;
            self.report_losses();
            if stopping && (!written || self.pending.waiting().0 == 0) {
                return;
            }
        }
    }

    /// Settles every row that waits now. False where the service stops and its time for that is over.
    async fn write_waiting(&self, size: &mut ChunkSize) -> bool {
        let mut left = self.pending.waiting().0;
        while left > 0 {
            let rows = self.pending.first(size.rows().min(left));
            match commit(&self.pool, &rows, SystemClock.now(), self.keep).await {
                Ok(()) => {
                    self.health.succeeded();
                    self.pending.committed(rows.len());
                    left -= rows.len();
                    size.accepted();
                }
                Err(error) => {
                    let failure = store_failure(&error);
                    match size.refused(rows.len(), failure.remedy()) {
                        Next::Fewer => {}
                        Next::LoseFirst => {
                            self.lose_first(failure);
                            left -= 1;
                        }
                        Next::Wait => {
                            self.health.failed(failure);
                            if !self.wait().await {
                                return false;
                            }
                        }
                    }
                }
            }
        }
        true
    }

    /// Waits before the next attempt. False where there is none, since the service stops.
    async fn wait(&self) -> bool {
        self.report_losses();
        if self.is_late() {
            return false;
        }
        tokio::time::sleep(RETRY).await;
        !self.is_late()
    }

    fn is_late(&self) -> bool {
        let closed = self.pending.closed_for();
        closed.is_some_and(|waited| waited >= self.stop_timeout)
    }

    /// The database refuses this row and accepts others: it cannot be kept, and must not keep those behind it waiting.
    fn lose_first(&self, failure: StoreFailure) {
        events::emit(Event::LedgerFailed {
            what: events::LedgerWork::Row,
            failure,
        });
        if let Some(kind) = self.pending.lose_first() {
            self.losses.row(kind.as_str());
        }
    }

    fn report_losses(&self) {
        let lost = self.pending.take_unreported();
        if lost.total() > 0 {
            events::emit(Event::RowsLost {
                usage: lost.usage,
                receipts: lost.receipts,
                sessions: lost.sessions,
            });
        }
    }
}

/// What to do after a transaction was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Try again with fewer rows.
    Fewer,
    /// The one row that was tried is refused; go on behind it.
    LoseFirst,
    /// Try again later.
    Wait,
}

/// How many rows go into the next transaction. It shrinks to find the row that is refused, or a transaction that is small
/// enough, and grows again with each one that is accepted.
#[derive(Debug)]
struct ChunkSize(usize);

impl Default for ChunkSize {
    fn default() -> Self {
        Self(MAX_ROWS)
    }
}

impl ChunkSize {
    fn rows(&self) -> usize {
        self.0
    }

    fn accepted(&mut self) {
        self.0 = (self.0 * 2).min(MAX_ROWS);
    }

    /// `tried` rows were refused together.
    fn refused(&mut self, tried: usize, remedy: Remedy) -> Next {
        match remedy {
            Remedy::Wait => Next::Wait,
            Remedy::FewerRows | Remedy::OtherRows if tried > 1 => {
                self.0 = tried / 2;
                Next::Fewer
            }
            Remedy::FewerRows => Next::Wait,
            Remedy::OtherRows => Next::LoseFirst,
        }
    }
}

async fn commit(
    pool: &SqlitePool,
    rows: &[Row],
    now: UnixTime,
    keep: Duration,
) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let written = write(&mut connection, rows, now, keep).await;
    if written.is_err() {
        // On a full disk SQLite undoes a transaction by itself, and sqlx, which does not learn of it, would put the next
        // one inside one that never ends: rows would neither be committed nor anybody else be let write.
        connection.close_on_drop();
    }
    written
}

async fn write(
    connection: &mut SqliteConnection,
    rows: &[Row],
    now: UnixTime,
    keep: Duration,
) -> Result<(), sqlx::Error> {
    let (mut usage, mut receipts) = (Vec::new(), Vec::new());
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for row in rows {
        match row {
            Row::Usage(row) => usage.push(&**row),
            Row::Receipt(row, until) => receipts.push((&**row, *until)),
            Row::Session(row) => insert_session(&mut transaction, row, now, keep).await?,
        }
    }
    for rows in in_few_sizes(&receipts) {
        insert_receipts(&mut transaction, rows).await?;
    }
    for rows in in_few_sizes(&usage) {
        insert_usage(&mut transaction, rows).await?;
    }
    for id in usage.iter().filter_map(|(_, keep)| keep.replaces) {
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
     outcome, prompt_tokens, completion_tokens, latency_us, first_byte_us, bytes_in, bytes_out, expires_at, cause, \
     token_source";

async fn insert_usage(
    transaction: &mut Transaction<'_, Sqlite>,
    rows: &[&(UsageRow, RowRetention)],
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
    keep: &RowRetention,
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
        .push_bind(signed(keep.expires_at.secs()))
        .push_bind(
            row.cause
                .filter(|_| kept(Field::Upstream))
                .map(|cause| cause.to_string()),
        )
        .push_bind(row.token_source().filter(|_| tokens));
}

async fn insert_receipts(
    transaction: &mut Transaction<'_, Sqlite>,
    rows: &[(&ReceiptRow, UnixTime)],
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

    /// Drives a store that refuses the rows in `bad`, until every row is settled; those that were lost, and how many
    /// transactions it took.
    fn settle(count: usize, bad: &[usize]) -> (Vec<usize>, usize) {
        let (mut size, mut at, mut lost, mut transactions) = (ChunkSize::default(), 0, vec![], 0);
        while at < count {
            transactions += 1;
            let rows = size.rows().min(count - at);
            if !bad.iter().any(|bad| (at..at + rows).contains(bad)) {
                at += rows;
                size.accepted();
                continue;
            }
            match size.refused(rows, Remedy::OtherRows) {
                Next::Fewer => {}
                Next::LoseFirst => {
                    lost.push(at);
                    at += 1;
                }
                Next::Wait => panic!("it waits for a row that is never accepted"),
            }
        }
        (lost, transactions)
    }

    #[test]
    fn a_row_that_alone_is_refused_is_left_out_and_no_other_is() {
        for (count, bad) in [
            (1, vec![0]),
            (4096, vec![0]),
            (4096, vec![4095]),
            (10_000, vec![17, 18, 5000]),
            (100, vec![]),
        ] {
            let (lost, transactions) = settle(count, &bad);
            assert_eq!(lost, bad);
            assert!(transactions < 3 + 40 * (1 + bad.len()), "{transactions}");
        }
    }

    #[test]
    fn no_row_is_left_out_while_the_store_is_at_fault() {
        let mut size = ChunkSize::default();
        assert_eq!(size.refused(64, Remedy::Wait), Next::Wait);
        assert_eq!(size.rows(), MAX_ROWS, "the rows were not at fault");
        let mut tried = 64;
        while tried > 1 {
            assert_eq!(size.refused(tried, Remedy::FewerRows), Next::Fewer);
            assert!(size.rows() < tried);
            tried = size.rows();
        }
        assert_eq!(size.refused(1, Remedy::FewerRows), Next::Wait);
    }

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
