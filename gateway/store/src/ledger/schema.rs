//! The ledger's file: created with private permissions, checked, opened, and migrated to the current schema.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Connection, SqliteConnection, SqlitePool};

use super::LedgerError;
use crate::sqlite::{self, CreateError, Durability, IntegrityCheck};
use gateway_base::events::{self, Event};

pub(super) const FILE: &str = "ledger.sqlite";

/// Each step brings the database from its index to the next schema version. Steps are only ever appended.
const STEPS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema_retention.sql"),
    include_str!("admins.sql"),
    include_str!("unfinished.sql"),
    include_str!("usage_sums.sql"),
    include_str!("usage_cause.sql"),
];

/// How long a request waits for a flushing connection before it is refused.
const FLUSHING_TIMEOUT: Duration = Duration::from_secs(10);

/// Tables with rows of requests. They are too large for a complete check at each start.
const LARGE: &[&str] = &["usage", "usage_sums", "receipts", "sessions", "records"];

/// Makes directory and file, readable by their owner only, and returns the file's path.
pub(super) fn create(state_dir: &Path) -> Result<PathBuf, LedgerError> {
    sqlite::create(state_dir, FILE)
        .map_err(|CreateError { path, source }| LedgerError::Create { path, source })
}

pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    sqlite::options(path, Durability::Written)
}

/// Refuses a damaged file, before a service begins on it.
pub(super) async fn check(path: &Path) -> Result<(), LedgerError> {
    let checked = sqlite::check(path, LARGE).await?;
    if checked == IntegrityCheck::Incomplete {
        events::emit(Event::DatabaseNotChecked { database: "ledger" });
    }
    refuse_damage(path, checked)
}

/// Like [`check`], without changing anything in the directory.
pub(super) async fn check_reading(path: &Path) -> Result<(), LedgerError> {
    refuse_damage(path, sqlite::check_reading(path, LARGE).await?)
}

/// Refuses a file whose keys, administrators or policies are damaged.
pub(super) async fn check_keys(path: &Path) -> Result<(), LedgerError> {
    refuse_damage(path, sqlite::check_small(path, LARGE).await?)
}

fn refuse_damage(path: &Path, checked: IntegrityCheck) -> Result<(), LedgerError> {
    match checked {
        IntegrityCheck::Passed | IntegrityCheck::Incomplete => Ok(()),
        IntegrityCheck::Damaged(what) => Err(LedgerError::Damaged {
            path: path.to_owned(),
            what,
        }),
    }
}

pub(super) async fn connect(path: &Path) -> Result<SqlitePool, LedgerError> {
    migrate(path).await?;
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .connect_with(options(path))
        .await?;
    Ok(pool)
}

/// Connections whose commits flush the write-ahead log, for rows that must be on the disk before a request is forwarded.
pub(super) async fn connect_flushing(path: &Path) -> Result<SqlitePool, LedgerError> {
    let options = sqlite::options(path, Durability::Flushed);
    let pool = SqlitePoolOptions::new()
        .max_connections(2)
        .acquire_timeout(FLUSHING_TIMEOUT)
        .connect_with(options)
        .await?;
    Ok(pool)
}

/// The first schema version that has the table of retention policies.
pub(super) const WITH_POLICIES: i64 = 2;

/// Refuses a database of a later version; otherwise its version.
pub(super) async fn version(path: &Path, pool: &SqlitePool) -> Result<i64, LedgerError> {
    let found: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(pool)
        .await?;
    let known = STEPS.len() as i64;
    if (0..=known).contains(&found) {
        Ok(found)
    } else {
        let path = path.to_owned();
        Err(LedgerError::Newer { path, found, known })
    }
}

async fn migrate(path: &Path) -> Result<(), LedgerError> {
    let mut connection = SqliteConnection::connect_with(&options(path)).await?;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut connection)
        .await?;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut connection)
        .await?;
    let known = STEPS.len() as i64;
    let done = match usize::try_from(found) {
        Ok(done) if done <= STEPS.len() => done,
        _ => {
            return Err(LedgerError::Newer {
                path: path.to_owned(),
                found,
                known,
            });
        }
    };
    for step in &STEPS[done..] {
        sqlx::raw_sql(*step).execute(&mut connection).await?;
    }
    let version = format!("PRAGMA user_version = {known}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(version))
        .execute(&mut connection)
        .await?;
    sqlx::query("COMMIT").execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
