//! A database of the service: its file, its schema, and the steps from one to the other.
//!
//! A file is created with private permissions, checked before anything is written to it, and brought to the current
//! schema when it is opened. A file of a newer schema is refused: this version would not know what its tables mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::check::{self, IntegrityCheck, TIME_LIMIT};
use super::{Durability, begin_writing, create, options, reading};
use crate::error::{DatabaseName, StoreError};
use gateway_base::events::{self, Event};

/// What is fixed about a database.
#[derive(Debug)]
pub(crate) struct Database {
    pub name: DatabaseName,
    /// Its file in the state directory.
    pub file: &'static str,
    /// When commits return, except on pools that choose otherwise.
    pub commits: Durability,
    /// Each step brings the file from its index to the next schema version. Steps are only ever appended.
    pub steps: &'static [&'static str],
    /// Tables with rows of requests. They are too large for a complete check at each start.
    pub large_tables: &'static [&'static str],
}

/// Which tables of a file are checked before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The small tables completely, the structure of the whole file for a limited time.
    WholeFile,
    /// The small tables only.
    SmallTables,
}

/// The file of a database in one state directory.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseFile {
    database: &'static Database,
    path: PathBuf,
}

/// A database that was opened for reading only.
pub(crate) struct Reading {
    pub file: DatabaseFile,
    /// One connection.
    pub pool: SqlitePool,
    /// 0 if it has no tables yet.
    pub version: i64,
}

impl Database {
    /// Makes directory and file if they are missing, readable by their owner only.
    pub fn create(&'static self, state_dir: &Path) -> Result<DatabaseFile, StoreError> {
        match create(state_dir, self.file) {
            Ok(path) => Ok(DatabaseFile {
                database: self,
                path,
            }),
            Err(error) => Err(StoreError::Create {
                path: error.path,
                source: error.source,
            }),
        }
    }

    /// Checks the file and opens it without changing anything in its directory; `None` if there is no file.
    pub async fn open_reading(
        &'static self,
        state_dir: &Path,
    ) -> Result<Option<Reading>, StoreError> {
        let path = state_dir.join(self.file);
        if !path.exists() {
            return Ok(None);
        }
        let file = DatabaseFile {
            database: self,
            path,
        };
        let failed = |error| file.failed(error);
        let checked = check::check(reading(&file.path), self.large_tables, Some(TIME_LIMIT));
        file.refuse_damage(&checked.await.map_err(failed)?)?;
        let pool = file.connect_pool(pool_of(1), reading(&file.path)).await?;
        let mut connection = pool.acquire().await.map_err(failed)?;
        let version = file.version(&mut connection).await?;
        drop(connection);
        Ok(Some(Reading {
            file,
            pool,
            version,
        }))
    }

    fn known_version(&self) -> i64 {
        self.steps.len() as i64
    }
}

impl DatabaseFile {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses a damaged file. Reports a check that the time limit ended.
    pub async fn check(&self, extent: Extent) -> Result<(), StoreError> {
        let limit = (extent == Extent::WholeFile).then_some(TIME_LIMIT);
        let options = options(&self.path, self.database.commits);
        let checked = check::check(options, self.database.large_tables, limit).await;
        let checked = checked.map_err(|error| self.failed(error))?;
        if checked == IntegrityCheck::Incomplete && extent == Extent::WholeFile {
            events::emit(Event::DatabaseNotChecked {
                database: self.database.name.as_str(),
            });
        }
        self.refuse_damage(&checked)
    }

    fn refuse_damage(&self, checked: &IntegrityCheck) -> Result<(), StoreError> {
        match checked {
            IntegrityCheck::Passed | IntegrityCheck::Incomplete => Ok(()),
            IntegrityCheck::Damaged(what) => Err(StoreError::Damaged {
                database: self.database.name,
                path: self.path.clone(),
                what: what.clone(),
            }),
        }
    }

    /// A connection that writes.
    pub async fn connect(&self) -> Result<SqliteConnection, StoreError> {
        let options = options(&self.path, self.database.commits);
        let connection = SqliteConnection::connect_with(&options).await;
        connection.map_err(|error| self.failed(error))
    }

    /// A connection that writes, and whose commits flush the write-ahead log.
    pub async fn connect_flushing(&self) -> Result<SqliteConnection, sqlx::Error> {
        SqliteConnection::connect_with(&options(&self.path, Durability::Flushed)).await
    }

    /// At most `size` connections whose commits return when the database's do.
    pub async fn pool(&self, size: u32) -> Result<SqlitePool, StoreError> {
        let options = options(&self.path, self.database.commits);
        self.connect_pool(pool_of(size), options).await
    }

    /// At most `size` connections whose commits flush the write-ahead log. A caller waits for one no longer than `timeout`.
    pub async fn flushing_pool(
        &self,
        size: u32,
        timeout: Duration,
    ) -> Result<SqlitePool, StoreError> {
        let pool = pool_of(size).acquire_timeout(timeout);
        let options = options(&self.path, Durability::Flushed);
        self.connect_pool(pool, options).await
    }

    /// At most `size` connections for reading.
    pub async fn reading_pool(&self, size: u32) -> Result<SqlitePool, StoreError> {
        let options = options(&self.path, self.database.commits).read_only(true);
        self.connect_pool(pool_of(size), options).await
    }

    async fn connect_pool(
        &self,
        pool: SqlitePoolOptions,
        options: SqliteConnectOptions,
    ) -> Result<SqlitePool, StoreError> {
        let connected = pool.connect_with(options).await;
        connected.map_err(|error| self.failed(error))
    }

    /// Begins a transaction and executes the steps that are missing. Returns it with the version that was found. The
    /// caller commits, so that a new file never has its tables without its first rows.
    pub async fn migrate<'c>(
        &self,
        connection: &'c mut SqliteConnection,
    ) -> Result<(Transaction<'c, Sqlite>, i64), StoreError> {
        // The transaction has the write lock before the version is read: two processes do not execute the same step.
        let transaction = begin_writing(connection).await;
        let mut transaction = transaction.map_err(|error| self.failed(error))?;
        let found = self.version(&mut transaction).await?;
        let missing = usize::try_from(found).map_or(&[][..], |done| &self.database.steps[done..]);
        let stepped = self.step(&mut transaction, missing).await;
        stepped.map_err(|error| self.failed(error))?;
        Ok((transaction, found))
    }

    async fn step(
        &self,
        connection: &mut SqliteConnection,
        missing: &[&'static str],
    ) -> Result<(), sqlx::Error> {
        if missing.is_empty() {
            return Ok(());
        }
        for step in missing {
            sqlx::raw_sql(*step).execute(&mut *connection).await?;
        }
        let version = format!("PRAGMA user_version = {}", self.database.known_version());
        let version = sqlx::raw_sql(AssertSqlSafe(version));
        version.execute(connection).await?;
        Ok(())
    }

    fn failed(&self, error: sqlx::Error) -> StoreError {
        StoreError::statement(self.database.name, error)
    }

    /// The version of the file's schema; refused unless this program knows it.
    async fn version(&self, connection: &mut SqliteConnection) -> Result<i64, StoreError> {
        let found: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(connection)
            .await
            .map_err(|error| self.failed(error))?;
        let known = self.database.known_version();
        if (0..=known).contains(&found) {
            return Ok(found);
        }
        Err(StoreError::Newer {
            path: self.path.clone(),
            found,
            known,
        })
    }
}

fn pool_of(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::scratch::ScratchDir;

    const FIRST: &str = "CREATE TABLE one (id INTEGER PRIMARY KEY);";
    const SECOND: &str = "CREATE TABLE two (id INTEGER PRIMARY KEY);";
    const BROKEN: &str = "CREATE TABLE three (id INTEGER PRIMARY KEY); CREATE TABLE one (id TEXT);";

    const fn of(steps: &'static [&'static str]) -> Database {
        Database {
            name: DatabaseName::AuditLog,
            file: "some.sqlite",
            commits: Durability::Written,
            steps,
            large_tables: &[],
        }
    }

    static OLD: Database = of(&[FIRST]);
    static NEW: Database = of(&[FIRST, SECOND]);
    static FAILS: Database = of(&[FIRST, SECOND, BROKEN]);

    /// The version that was found.
    async fn migrated(
        database: &'static Database,
        scratch: &ScratchDir,
    ) -> Result<i64, StoreError> {
        let file = database.create(scratch.path())?;
        let mut connection = file.connect().await?;
        let (transaction, found) = file.migrate(&mut connection).await?;
        transaction.commit().await.expect("committed");
        Ok(found)
    }

    async fn tables(scratch: &ScratchDir) -> Vec<String> {
        let reading = NEW.open_reading(scratch.path()).await.expect("readable");
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
        sqlx::query_scalar(names)
            .fetch_all(&reading.expect("a file").pool)
            .await
            .expect("tables")
    }

    #[tokio::test]
    async fn executes_the_steps_that_are_missing_and_no_other() {
        let scratch = ScratchDir::new("steps").expect("a directory");
        assert!(matches!(migrated(&OLD, &scratch).await, Ok(0)));
        assert_eq!(tables(&scratch).await, ["one"]);
        assert!(matches!(migrated(&NEW, &scratch).await, Ok(1)));
        assert_eq!(tables(&scratch).await, ["one", "two"]);
        assert!(matches!(migrated(&NEW, &scratch).await, Ok(2)));
    }

    #[tokio::test]
    async fn a_step_that_fails_leaves_the_file_as_it_was() {
        let scratch = ScratchDir::new("steps-fail").expect("a directory");
        migrated(&OLD, &scratch).await.expect("the first schema");
        let failed = migrated(&FAILS, &scratch).await;
        assert!(
            matches!(
                failed,
                Err(StoreError::Database {
                    database: DatabaseName::AuditLog,
                    ..
                })
            ),
            "{failed:?}"
        );
        assert_eq!(tables(&scratch).await, ["one"]);
        assert!(matches!(migrated(&NEW, &scratch).await, Ok(1)));
    }

    #[tokio::test]
    async fn refuses_a_version_that_it_does_not_know() {
        let scratch = ScratchDir::new("steps-newer").expect("a directory");
        migrated(&NEW, &scratch).await.expect("the second schema");
        let newer = migrated(&OLD, &scratch).await;
        let newer_to_read = OLD.open_reading(scratch.path()).await.err();
        for refused in [newer.err(), newer_to_read] {
            assert!(
                matches!(
                    refused,
                    Some(StoreError::Newer {
                        found: 2,
                        known: 1,
                        ..
                    })
                ),
                "{refused:?}"
            );
        }
        let file = NEW.create(scratch.path()).expect("a file");
        let mut connection = file.connect().await.expect("a connection");
        sqlx::raw_sql("PRAGMA user_version = -1")
            .execute(&mut connection)
            .await
            .expect("set");
        let negative = file.migrate(&mut connection).await.err();
        assert!(matches!(
            negative,
            Some(StoreError::Newer { found: -1, .. })
        ));
    }

    #[tokio::test]
    async fn reading_creates_no_file() {
        let scratch = ScratchDir::new("steps-none").expect("a directory");
        let none = NEW.open_reading(scratch.path()).await.expect("no failure");
        assert!(none.is_none());
        let files = std::fs::read_dir(scratch.path()).expect("a directory");
        assert_eq!(files.count(), 0);
    }
}
