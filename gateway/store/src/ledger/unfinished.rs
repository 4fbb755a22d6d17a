//! The table `unfinished`: rows of requests that were forwarded and have not ended.
//!
//! A usage row is written after its request has ended. Under a policy that refuses requests without a record that is too
//! late: the process or the database could fail in between. So such a request gets a row before it is forwarded. It comes
//! here if its usage row is not moved from the batches in the same transaction; the one that moves that deletes it.

use sqlx::{QueryBuilder, Sqlite, SqliteExecutor, SqlitePool};

use super::batch::UsageValues;
use super::usage::{USAGE_COLUMNS, push_usage};

pub(super) async fn add(
    on: impl SqliteExecutor<'_>,
    id: i64,
    row: &UsageValues<'_>,
) -> Result<(), sqlx::Error> {
    let mut insert =
        QueryBuilder::<Sqlite>::new(format!("INSERT INTO unfinished (id, {USAGE_COLUMNS}) "));
    insert.push_values([row], |mut values, row| {
        values.push_bind(id);
        push_usage(&mut values, row);
    });
    insert.build().execute(on).await?;
    Ok(())
}

/// Deletes a row, in the transaction that writes the usage row.
pub(super) async fn remove(on: impl SqliteExecutor<'_>, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM unfinished WHERE id = ?")
        .bind(id)
        .execute(on)
        .await?;
    Ok(())
}

/// Moves the rows that an earlier process left to the table `usage`.
pub(super) async fn move_to_usage(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let copy =
        format!("INSERT INTO usage ({USAGE_COLUMNS}) SELECT {USAGE_COLUMNS} FROM unfinished");
    sqlx::raw_sql(sqlx::AssertSqlSafe(copy))
        .execute(&mut *transaction)
        .await?;
    sqlx::raw_sql("DELETE FROM unfinished")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}
