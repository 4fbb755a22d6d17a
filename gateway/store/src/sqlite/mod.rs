//! Opening, checking and health of every SQLite database of the service.
//!
//! By default SQLite creates temporary files in `/var/tmp`, `/usr/tmp` or `/tmp`: for a statement's journal, for sorts
//! larger than its cache, and for `VACUUM`. The hardened process may not open files there, so a statement that needs one
//! would fail every time. Therefore every connection keeps this data in memory. The only files are the database, its
//! `-wal` and its `-shm`, all in the state directory. No transaction spans two databases, so SQLite never creates a
//! super-journal.

mod check;
mod create;
mod database;
mod health;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Sqlite, SqliteConnection, Transaction};

use create::create;
pub(crate) use database::{Database, DatabaseFile, Extent};
pub(crate) use health::StoreHealth;

/// How long a statement waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// SQLite truncates a write-ahead log to this many bytes after a long reader, such as a backup, has finished.
const WAL_LIMIT: &str = "67108864";

/// When a commit returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// After the write to the operating system. Survives a crash of the process, but perhaps no power failure.
    Written,
    /// After the write-ahead log was flushed to the disk.
    Flushed,
}

/// Begins a transaction that has the write lock from the start. One that takes the lock at its first write can fail there,
/// if another connection has written since it began.
pub(crate) async fn begin_writing(
    connection: &mut SqliteConnection,
) -> Result<Transaction<'_, Sqlite>, sqlx::Error> {
    connection.begin_with("BEGIN IMMEDIATE").await
}

/// A number that changes when another connection has committed.
pub(crate) async fn data_version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA data_version")
        .fetch_one(connection)
        .await
}

/// Options of a connection to the existing database at `path`.
fn options(path: &Path, commits: Durability) -> SqliteConnectOptions {
    let synchronous = match commits {
        Durability::Written => SqliteSynchronous::Normal,
        Durability::Flushed => SqliteSynchronous::Full,
    };
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("temp_store", "MEMORY")
        .pragma("journal_size_limit", WAL_LIMIT)
}

/// Options for reading the existing database at `path` without changing anything in its directory. If no service is
/// writing, not even the `-wal` and `-shm` files are created.
fn reading(path: &Path) -> SqliteConnectOptions {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .read_only(true)
        .immutable(!Path::new(&log).exists())
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("temp_store", "MEMORY")
}
