//! Rows of requests that have not ended.
//!
//! A usage row is written when its request is over. Where a policy would rather have a request refused than not kept,
//! that is too late: the process could be killed, or the database gone, in between. So such a request has a row here
//! before it is forwarded, and loses it in the transaction that commits its usage row.

use sqlx::{QueryBuilder, Sqlite, SqlitePool, Transaction};

use super::LedgerError;
use super::writer::{USAGE_COLUMNS, push_usage};
use gateway_base::metering::{RowRetention, UnfinishedId, UsageRow};

/// Commits a row, of a request that is about to be forwarded.
pub(super) async fn add(
    pool: &SqlitePool,
    id: UnfinishedId,
    row: &UsageRow,
    keep: &RowRetention,
) -> Result<(), LedgerError> {
    let mut insert =
        QueryBuilder::<Sqlite>::new(format!("INSERT INTO unfinished (id, {USAGE_COLUMNS}) "));
    insert.push_values([(row, keep)], |mut values, (row, keep)| {
        values.push_bind(id.0);
        push_usage(&mut values, row, keep);
    });
    insert.build().execute(pool).await?;
    Ok(())
}

/// Takes a row away, where the usage row is written.
pub(super) async fn remove(
    transaction: &mut Transaction<'_, Sqlite>,
    id: UnfinishedId,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM unfinished WHERE id = ?")
        .bind(id.0)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Turns what an earlier process left into usage rows.
pub(super) async fn settle(pool: &SqlitePool) -> Result<(), sqlx::Error> {
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
