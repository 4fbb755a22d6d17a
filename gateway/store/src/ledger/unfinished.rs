//! The table `unfinished`: rows of requests that were forwarded and have not ended.
//!
//! A usage row is written after its request has ended. Under a policy that refuses requests without a record that is too
//! late: the process or the database could fail in between. So such a request gets a row here before it is forwarded.
//! The transaction that commits its usage row deletes it.

use sqlx::{QueryBuilder, Sqlite, SqliteExecutor, SqlitePool};

use super::usage::{USAGE_COLUMNS, push_usage};
use gateway_base::metering::{RowRetention, UnfinishedId, UsageRow};

/// Commits a row, of a request that is about to be forwarded.
pub(super) async fn add(
    on: impl SqliteExecutor<'_>,
    id: UnfinishedId,
    row: &UsageRow,
    retention: &RowRetention,
) -> Result<(), sqlx::Error> {
    let mut insert =
        QueryBuilder::<Sqlite>::new(format!("INSERT INTO unfinished (id, {USAGE_COLUMNS}) "));
    insert.push_values([(row, retention)], |mut values, (row, retention)| {
        values.push_bind(id.0);
        push_usage(&mut values, row, retention);
    });
    insert.build().execute(on).await?;
    Ok(())
}

/// Deletes a row, in the transaction that writes the usage row.
pub(super) async fn remove(
    on: impl SqliteExecutor<'_>,
    id: UnfinishedId,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM unfinished WHERE id = ?")
        .bind(id.0)
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
