//! The ledger's writer task: commits the rows that arrived within [`BATCH_DELAY`] in one transaction.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{SqliteConnection, SqlitePool};

use super::row_queue::{Row, RowQueue};
use super::{receipts, sessions, unfinished, usage};
use crate::audit::Losses;
use crate::error::store_failure;
use crate::sqlite::{StoreHealth, begin_writing};
use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_core::UnixTime;
use gateway_base::events::{self, Event};
use gateway_base::store_failure::{Remedy, StoreFailure};

/// How long the writer waits for further rows before it commits.
const BATCH_DELAY: Duration = Duration::from_millis(25);
/// The delay before a retry after a failed transaction.
const RETRY: Duration = Duration::from_millis(500);
/// The most rows of one transaction.
const MAX_ROWS: usize = 4096;
/// Rows of one statement. The database runs in another thread, and the switch costs more than writing a row.
const ROWS_AT_ONCE: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// The writer. It is the only task that removes rows from the queue.
pub(super) struct Writer {
    pub pool: SqlitePool,
    pub queue: Arc<RowQueue>,
    pub health: Arc<StoreHealth>,
    pub losses: Losses,
    /// How long sessions are stored after the last receipt can cite them.
    pub receipt_lifetime: Duration,
    /// How long it retries when the service stops and the database fails.
    pub stop_timeout: Duration,
}

impl Writer {
    /// Commits rows until the service stops, then the remaining ones within `stop_timeout`.
    pub async fn run(self) {
        let mut size = ChunkSize::default();
        loop {
            self.queue.wait_for_work().await;
            // Read before the rows are counted: if the service begins to stop after this, there is another round.
            let stopping = self.queue.closed_for().is_some();
            if !stopping {
                tokio::time::sleep(BATCH_DELAY).await;
            }
            let written = self.write_queued(&mut size).await;
            self.report_losses();
            if stopping && (!written || self.queue.waiting().0 == 0) {
                return;
            }
        }
    }

    /// Commits or drops every row that is queued now. Returns false if the service stops and `stop_timeout` is over.
    async fn write_queued(&self, size: &mut ChunkSize) -> bool {
        // Rows that arrive meanwhile are left for the next round, so that losses are reported between the two.
        let mut left = self.queue.waiting().0;
        while left > 0 {
            let rows = self.queue.first(size.rows().min(left));
            match commit(&self.pool, &rows, SystemClock.now(), self.receipt_lifetime).await {
                Ok(()) => {
                    self.health.record_success();
                    // After the commit: until then readers find receipts and sessions in the queue.
                    self.queue.committed(rows.len());
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
                            self.health.record_failure(failure);
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

    /// Waits before the next attempt. Returns false if `stop_timeout` is over.
    async fn wait(&self) -> bool {
        self.report_losses();
        if self.is_late() {
            return false;
        }
        tokio::time::sleep(RETRY).await;
        !self.is_late()
    }

    fn is_late(&self) -> bool {
        let closed = self.queue.closed_for();
        closed.is_some_and(|waited| waited >= self.stop_timeout)
    }

    /// Drops the first row: the database refuses it and accepts others, so it must not block those behind it.
    fn lose_first(&self, failure: StoreFailure) {
        events::emit(Event::LedgerFailed {
            what: events::LedgerWork::Row,
            failure,
        });
        if let Some(kind) = self.queue.lose_first() {
            self.losses.row(kind.as_str());
        }
    }

    fn report_losses(&self) {
        let lost = self.queue.take_unreported();
        if lost.total() > 0 {
            events::emit(Event::RowsLost {
                usage: lost.usage,
                receipts: lost.receipts,
                sessions: lost.sessions,
            });
        }
    }
}

/// What to do after a failed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Retry at once with fewer rows.
    Fewer,
    /// Drop the one row that was tried, and continue with the next.
    LoseFirst,
    /// Retry after a delay.
    Wait,
}

/// The size of the next transaction. It is halved after a failure, down to the row that the database refuses, and
/// doubled after a success.
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

    /// Decides after a failed transaction of `tried` rows.
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
    receipt_lifetime: Duration,
) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let written = write(&mut connection, rows, now, receipt_lifetime).await;
    if written.is_err() {
        // On a full disk SQLite rolls back a transaction itself, and sqlx is not notified. It would start the next one
        // inside a transaction that never ends, and block every other writer. So the connection is not reused.
        connection.close_on_drop();
    }
    written
}

async fn write(
    connection: &mut SqliteConnection,
    rows: &[Row],
    now: UnixTime,
    receipt_lifetime: Duration,
) -> Result<(), sqlx::Error> {
    let (mut usage_rows, mut receipt_rows) = (Vec::new(), Vec::new());
    let mut transaction = begin_writing(connection).await?;
    for row in rows {
        match row {
            Row::Usage(row) => usage_rows.push(&**row),
            Row::Receipt(row, until) => receipt_rows.push((&**row, *until)),
            Row::Session(row) => {
                // Receipts can cite a session until it expires, and each receipt is stored for `receipt_lifetime` from
                // then on.
                let keep_until = row.expires_at.max(now).plus(receipt_lifetime);
                sessions::insert(&mut *transaction, row, keep_until).await?;
            }
        }
    }
    for rows in in_few_sizes(&receipt_rows) {
        receipts::insert(&mut *transaction, rows).await?;
    }
    for rows in in_few_sizes(&usage_rows) {
        usage::insert(&mut *transaction, rows).await?;
    }
    let replaced = usage_rows
        .iter()
        .filter_map(|(_, retention)| retention.replaces);
    for id in replaced {
        unfinished::remove(&mut *transaction, id).await?;
    }
    transaction.commit().await
}

/// Splits rows into runs of few different lengths, so that few different statements are prepared and cached.
fn in_few_sizes<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = ROWS_AT_ONCE.into_iter().find(|size| *size <= rows.len())?;
        let (now, rest) = rows.split_at(size);
        rows = rest;
        Some(now)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates a database that refuses the rows in `bad`. Returns the dropped rows and the number of transactions.
    fn simulate(count: usize, bad: &[usize]) -> (Vec<usize>, usize) {
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
    fn drops_exactly_the_rows_that_the_database_refuses() {
        for (count, bad) in [
            (1, vec![0]),
            (4096, vec![0]),
            (4096, vec![4095]),
            (10_000, vec![17, 18, 5000]),
            (100, vec![]),
        ] {
            let (lost, transactions) = simulate(count, &bad);
            assert_eq!(lost, bad);
            assert!(transactions < 3 + 40 * (1 + bad.len()), "{transactions}");
        }
    }

    #[test]
    fn drops_no_row_while_the_database_fails() {
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
    fn splits_rows_into_runs_in_order_without_loss() {
        for count in [0, 1, 3, 4, 37, 64, 200] {
            let rows: Vec<usize> = (0..count).collect();
            let runs: Vec<&[usize]> = in_few_sizes(&rows).collect();
            assert_eq!(runs.concat(), rows);
            assert!(runs.iter().all(|run| ROWS_AT_ONCE.contains(&run.len())));
        }
    }
}
