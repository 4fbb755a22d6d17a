//! The ledger's writer: a thread that makes rows durable and moves them to their tables.
//!
//! The rows that arrived are stored as batches, one INSERT each, in a transaction that is flushed to the disk. Their rows
//! are moved to the tables later, in large transactions; few rows of a quiet service go to their tables at once. The
//! [schedule](super::schedule) decides when. A batch is removed in the transaction that writes its rows, so that a kill
//! leaves either of them.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sqlx::SqliteConnection;
use tokio::runtime;

use super::batches::{self, StoredBatch};
use super::row_queue::{RowQueue, SealedBatch};
use super::schedule::{Round, Schedule};
use super::unpack::{Refused, unpack};
use crate::audit::Losses;
use crate::error::{StoreError, store_failure};
use crate::sqlite::{DatabaseFile, StoreHealth, begin_writing};
use gateway_base::events::{self, Event};
use gateway_base::store_failure::Remedy;

/// The delay before a retry after a failed transaction.
const RETRY: Duration = Duration::from_millis(500);
/// The most rows of one transaction.
const MAX_ROWS: usize = 4096;
/// A failed transaction of no more rows than this is not tried again with fewer.
const MIN_ROWS: usize = 64;
/// The writer. It alone removes rows from the queue.
pub(super) struct Writer {
    pub file: DatabaseFile,
    pub queue: Arc<RowQueue>,
    pub health: Arc<StoreHealth>,
    pub losses: Losses,
    /// How long it retries when the service stops and the database fails.
    pub stop_timeout: Duration,
}

/// The writer's thread.
pub(super) type WriterThread = thread::JoinHandle<()>;

impl Writer {
    /// Starts the thread. It ends after the queue was closed or abandoned.
    pub fn start(self) -> Result<WriterThread, StoreError> {
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|source| StoreError::Thread { source })?;
        let thread = thread::Builder::new().name("ledger".to_owned());
        let started = thread.spawn(move || runtime.block_on(Writing::new(self).write()));
        started.map_err(|source| StoreError::Thread { source })
    }
}

/// The state of the thread.
pub(super) struct Writing {
    writer: Writer,
    /// `None` at first and after a failure. On a full disk SQLite rolls back a transaction itself, and sqlx is not
    /// notified: it would start the next one inside a transaction that never ends, and block every other writer.
    connection: Option<SqliteConnection>,
    next_batch: i64,
    most_rows: usize,
    schedule: Schedule,
}

impl Writing {
    pub fn new(writer: Writer) -> Self {
        Self {
            writer,
            connection: None,
            next_batch: 1,
            most_rows: MAX_ROWS,
            schedule: Schedule::new(Instant::now()),
        }
    }

    /// Makes rows durable until the service stops, then the remaining ones within `stop_timeout`.
    async fn write(&mut self) {
        while let Some(round) = self.next_round().await {
            let done = self.work(round).await;
            self.report_losses();
            let ended = match done {
                Ok(()) => round.closing && (self.has_nothing() || self.is_late()),
                Err(error) => !self.recover(error).await,
            };
            if ended {
                return;
            }
        }
    }

    /// Waits until there is something to do. `None` if the queue was abandoned.
    async fn next_round(&mut self) -> Option<Round> {
        loop {
            let call = self.writer.queue.call();
            if call.abandoned {
                return None;
            }
            let now = Instant::now();
            if let Some(round) = self.schedule.round(&call, now) {
                return Some(round);
            }
            if call.is_idle() {
                self.writer.queue.woken().await;
                self.schedule.begin_tick(Instant::now());
            } else {
                let left = self.schedule.until_tick(now);
                let _ = tokio::time::timeout(left, self.writer.queue.woken()).await;
            }
        }
    }

    async fn work(&mut self, round: Round) -> Result<(), sqlx::Error> {
        // First, so that no more is stored than the tables will take.
        if round.is_full {
            self.unpack_stored().await?;
        }
        if round.take {
            let sealed = self.writer.queue.seal();
            if round.directly {
                self.write_to_tables(&sealed).await?;
            } else {
                self.store(&sealed).await?;
            }
        }
        if round.unpack && !round.is_full {
            self.unpack_stored().await?;
        }
        Ok(())
    }

    /// Stores batches.
    pub async fn store(&mut self, mut sealed: &[Arc<SealedBatch>]) -> Result<(), sqlx::Error> {
        while !sealed.is_empty() {
            let (now, rest) = sealed.split_at(self.first(sealed.iter().map(|one| one.batch.rows)));
            sealed = rest;
            let stored: Vec<_> = now
                .iter()
                .zip(self.next_batch..)
                .map(|(sealed, id)| {
                    let rows = sealed.batch.rows;
                    (StoredBatch { id, rows }, sealed.clone())
                })
                .collect();
            insert(self.connection().await?, &stored).await?;
            self.next_batch += i64::try_from(stored.len()).unwrap_or(i64::MAX);
            self.succeed();
            self.writer.queue.stored(&stored);
        }
        Ok(())
    }

    /// Writes rows to their tables that are in no stored batch.
    async fn write_to_tables(
        &mut self,
        mut sealed: &[Arc<SealedBatch>],
    ) -> Result<(), sqlx::Error> {
        while !sealed.is_empty() {
            let (now, rest) = sealed.split_at(self.first(sealed.iter().map(|one| one.batch.rows)));
            sealed = rest;
            let bodies: Vec<&[u8]> = now.iter().map(|sealed| sealed.batch.body()).collect();
            self.schedule.tables_fail = true;
            let connection = self.connection().await?;
            let mut transaction = begin_writing(connection).await?;
            let refused = unpack(&mut transaction, &bodies).await?;
            transaction.commit().await?;
            self.schedule.tables_fail = false;
            self.succeed();
            self.lose(&refused);
            self.writer.queue.written(now);
        }
        Ok(())
    }

    /// Moves the rows of the first stored batches to their tables.
    pub async fn unpack_stored(&mut self) -> Result<(), sqlx::Error> {
        let stored = self.writer.queue.stored_batches();
        let count = self.first(stored.iter().map(|batch| batch.rows));
        let Some(last) = stored[..count].last() else {
            return Ok(());
        };
        self.schedule.tables_fail = true;
        let refused = move_rows(self.connection().await?, last.id).await?;
        self.schedule.tables_fail = false;
        self.succeed();
        self.lose(&refused);
        self.writer.queue.moved(last.id);
        Ok(())
    }

    /// How many of the first batches fit into one transaction: at least one, if there is one.
    fn first(&self, rows: impl Iterator<Item = usize>) -> usize {
        let mut left = self.most_rows;
        let fits = rows.enumerate().take_while(|(index, rows)| {
            let fits = *index == 0 || *rows <= left;
            left = left.saturating_sub(*rows);
            fits
        });
        fits.count()
    }

    async fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(self.writer.file.connect_flushing().await?)),
        }
    }

    /// After a transaction, and before callers that wait for it are answered. The next ones may be larger again.
    fn succeed(&mut self) {
        self.most_rows = (self.most_rows * 2).min(MAX_ROWS);
        // Batches may be accepted while their rows are not.
        if !self.schedule.tables_fail {
            self.writer.health.record_success();
        }
    }

    /// Prepares another attempt, after a delay if smaller transactions do not help. Returns false if `stop_timeout` is
    /// over.
    async fn recover(&mut self, error: sqlx::Error) -> bool {
        let failure = store_failure(&error);
        self.connection = None;
        self.schedule.retries = true;
        if failure.remedy() == Remedy::FewerRows && self.most_rows > MIN_ROWS {
            self.most_rows /= 2;
            return true;
        }
        self.writer.health.record_failure(failure);
        self.writer.queue.failed(failure);
        self.report_losses();
        if self.is_late() {
            return false;
        }
        tokio::time::sleep(RETRY).await;
        !self.is_late()
    }

    fn has_nothing(&self) -> bool {
        self.writer.queue.waiting().0 == 0 && self.writer.queue.stored_batches().is_empty()
    }

    fn is_late(&self) -> bool {
        let closed = self.writer.queue.closed_for();
        closed.is_some_and(|waited| waited >= self.writer.stop_timeout)
    }

    /// Counts rows that the database refuses.
    fn lose(&self, refused: &[Refused]) {
        for row in refused {
            self.writer.queue.lose(row.kind);
        }
        report_refused(refused, &self.writer.losses);
    }

    fn report_losses(&self) {
        let lost = self.writer.queue.take_unreported();
        if lost.total() > 0 {
            events::emit(Event::RowsLost {
                usage: lost.usage,
                receipts: lost.receipts,
                sessions: lost.sessions,
            });
        }
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    stored: &[(StoredBatch, Arc<SealedBatch>)],
) -> Result<(), sqlx::Error> {
    if let [(batch, sealed)] = stored {
        return batches::insert(connection, *batch, sealed.batch.body()).await;
    }
    let mut transaction = begin_writing(connection).await?;
    for (batch, sealed) in stored {
        batches::insert(&mut *transaction, *batch, sealed.batch.body()).await?;
    }
    transaction.commit().await
}

/// Moves the rows of the stored batches up to this id to their tables. Returns those that the database refuses.
async fn move_rows(
    connection: &mut SqliteConnection,
    last: i64,
) -> Result<Vec<Refused>, sqlx::Error> {
    let mut transaction = begin_writing(connection).await?;
    let bodies = batches::take_until(&mut transaction, last).await?;
    let refused = unpack(&mut transaction, &bodies).await?;
    transaction.commit().await?;
    Ok(refused)
}

fn report_refused(refused: &[Refused], losses: &Losses) {
    for row in refused {
        events::emit(Event::LedgerFailed {
            what: events::LedgerWork::Row,
            failure: row.failure,
        });
        losses.row(row.kind.as_str());
    }
}

/// Moves the rows of all batches that an earlier process left to their tables, before anything is served.
pub(super) async fn unpack_leftovers(
    connection: &mut SqliteConnection,
    losses: &Losses,
) -> Result<(), sqlx::Error> {
    let (mut rows, left) = (0, batches::all(&mut *connection).await?);
    for (index, batch) in left.iter().enumerate() {
        rows += batch.rows;
        if rows >= MAX_ROWS || index + 1 == left.len() {
            let refused = move_rows(connection, batch.id).await?;
            report_refused(&refused, losses);
            rows = 0;
        }
    }
    Ok(())
}
