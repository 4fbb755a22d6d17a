//! The integrity check of a database file at the start, before anything is written to it.
//!
//! SQLite does not detect every damaged page when it reads one: rows can be missing, API keys among them. So every start
//! checks the file first. Small tables are checked completely, with their indexes against their rows; the structure of
//! the whole file is checked for a limited time. The check does not find a page that was replaced by another valid page,
//! nor changed values inside a row. The audit log has hashes over its entries for that.

use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::error::store_failure;
use gateway_base::store_failure::Cause;

/// How long a start checks the structure of the whole file.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(10);
/// SQLite's virtual machine steps between two calls of the progress handler.
const STEPS: i32 = 1000;

/// The result of the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IntegrityCheck {
    Passed,
    /// The time limit ended before the whole file was checked. The checked part is not damaged.
    Incomplete,
    /// SQLite's description: page numbers and table names, never a value.
    Damaged(String),
}

/// Checks the database that `options` connect to; `large` are the tables that are too large to be checked row by row.
/// Without a limit only the other tables are checked.
pub(super) async fn check(
    options: SqliteConnectOptions,
    large: &[&str],
    limit: Option<Duration>,
) -> Result<IntegrityCheck, sqlx::Error> {
    match attempt(&options, large, limit).await {
        Err(error) if store_failure(&error).cause == Cause::Corrupt => Ok(IntegrityCheck::Damaged(
            store_failure(&error).message().to_owned(),
        )),
        checked => checked,
    }
}

async fn attempt(
    options: &SqliteConnectOptions,
    large: &[&str],
    limit: Option<Duration>,
) -> Result<IntegrityCheck, sqlx::Error> {
    let mut connection = SqliteConnection::connect_with(options).await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    .fetch_all(&mut connection)
    .await?;
    for table in tables
        .iter()
        .filter(|table| !large.contains(&table.as_str()))
    {
        let quoted = table.replace('"', "\"\"");
        let pragma = format!("PRAGMA integrity_check(\"{quoted}\")");
        if let Some(damage) = first_damage(&mut connection, pragma).await? {
            return Ok(IntegrityCheck::Damaged(damage));
        }
    }
    let Some(limit) = limit else {
        connection.close().await?;
        return Ok(IntegrityCheck::Incomplete);
    };
    let until = Instant::now() + limit;
    connection
        .lock_handle()
        .await?
        .set_progress_handler(STEPS, move || Instant::now() < until);
    let checked = first_damage(&mut connection, "PRAGMA quick_check(1)".to_owned()).await;
    connection.lock_handle().await?.remove_progress_handler();
    let checked = match checked {
        Ok(Some(damage)) => IntegrityCheck::Damaged(damage),
        Ok(None) => IntegrityCheck::Passed,
        Err(error) if store_failure(&error).is_interrupted() => IntegrityCheck::Incomplete,
        Err(error) => return Err(error),
    };
    connection.close().await?;
    Ok(checked)
}

/// The first finding of a pragma; `None` if it reports `ok`.
async fn first_damage(
    connection: &mut SqliteConnection,
    pragma: String,
) -> Result<Option<String>, sqlx::Error> {
    let found: String = sqlx::query_scalar(AssertSqlSafe(pragma))
        .fetch_one(connection)
        .await?;
    let first = found.lines().find(|line| !line.starts_with("***"));
    Ok(first.filter(|line| *line != "ok").map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{Durability, options};
    use testkit::scratch::ScratchDir;

    async fn database(scratch: &ScratchDir) -> std::path::PathBuf {
        let path = scratch.path().join("some.sqlite");
        std::fs::write(&path, "").expect("a file");
        const NUMBERS: &str = "WITH RECURSIVE n(value) AS \
            (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 3000)";
        let statements = format!(
            "CREATE TABLE small (id TEXT PRIMARY KEY); CREATE TABLE large (id INTEGER PRIMARY KEY, body BLOB); \
             INSERT INTO small {NUMBERS} SELECT 'a' || value FROM n; \
             INSERT INTO large {NUMBERS} SELECT value, zeroblob(1000) FROM n;"
        );
        let mut connection = SqliteConnection::connect_with(&options(&path, Durability::Written))
            .await
            .expect("a database");
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut connection)
            .await
            .expect("tables");
        connection.close().await.expect("closed");
        path
    }

    #[tokio::test]
    async fn reports_passed_or_incomplete_after_the_time_limit() {
        let scratch = ScratchDir::new("check").expect("a directory");
        let path = database(&scratch).await;
        let options = options(&path, Durability::Written);
        let checked = check(options.clone(), &["large"], Some(TIME_LIMIT)).await;
        assert_eq!(checked.expect("a database"), IntegrityCheck::Passed);
        let checked = check(options, &["large"], Some(Duration::ZERO)).await;
        assert_eq!(checked.expect("a database"), IntegrityCheck::Incomplete);
    }

    #[tokio::test]
    async fn finds_every_overwritten_page() {
        let scratch = ScratchDir::new("check-pages").expect("a directory");
        let path = database(&scratch).await;
        let whole = std::fs::read(&path).expect("a file");
        let pages = whole.len() / 4096;
        assert!(pages > 100, "{pages}");
        for page in (0..pages).step_by(37) {
            for byte in [0x00, 0xa5] {
                let mut damaged = whole.clone();
                damaged[page * 4096..(page + 1) * 4096].fill(byte);
                std::fs::write(&path, &damaged).expect("written");
                let options = options(&path, Durability::Written);
                let checked = check(options, &["large"], Some(TIME_LIMIT)).await;
                assert!(
                    matches!(checked, Ok(IntegrityCheck::Damaged(_))),
                    "page {page} of {byte}: {checked:?}"
                );
            }
        }
    }
}
