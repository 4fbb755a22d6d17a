//! How every database of the service is opened.
//!
//! SQLite keeps a statement's journal, a sort that is too large for its cache, and the copy that `VACUUM` makes in
//! temporary files, which it looks for in `/var/tmp`, `/usr/tmp` and `/tmp`. The hardened process may open none of
//! those, and a statement that needs one fails each time it is tried. So all of it stays in memory, on every
//! connection. What is left of files are the database, its `-wal` and its `-shm`, all three in the state directory;
//! no transaction here spans two databases, so no super-journal is ever made.

mod check;
mod failure;
mod health;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

pub(crate) use check::{Checked, check, check_reading, check_small};
pub(crate) use failure::store_failure;
pub(crate) use health::Health;

/// How long a statement waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a write-ahead log that are left when a reader who kept it from being emptied, such as a backup, is done.
const WAL_LIMIT: &str = "67108864";

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commits {
    /// The operating system has it: a crash of the process loses nothing, a power failure may.
    Written,
    /// The write-ahead log was flushed to the disk.
    Flushed,
}

/// Options for a connection to the database at `path`, which has to exist.
pub(crate) fn options(path: &Path, commits: Commits) -> SqliteConnectOptions {
    let synchronous = match commits {
        Commits::Written => SqliteSynchronous::Normal,
        Commits::Flushed => SqliteSynchronous::Full,
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
/// Options for reading the database at `path`, which has to exist, without changing anything in its directory: not
/// even the files that a reader beside a writer needs are made where nothing is written.
pub(crate) fn reading(path: &Path) -> SqliteConnectOptions {
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
