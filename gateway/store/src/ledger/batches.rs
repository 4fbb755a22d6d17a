//! Batches of rows that are not in their tables yet, in the table `row_batches`.

use sqlx::SqliteExecutor;

use super::columns::signed;

/// A stored batch, without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredBatch {
    pub id: i64,
    pub rows: usize,
}

pub(super) async fn insert(
    on: impl SqliteExecutor<'_>,
    batch: StoredBatch,
    body: &[u8],
) -> Result<(), sqlx::Error> {
    // An attempt may have been committed though it was reported as failed.
    sqlx::query("INSERT OR REPLACE INTO row_batches (id, rows, body) VALUES (?, ?, ?)")
        .bind(batch.id)
        .bind(signed(batch.rows as u64))
        .bind(body)
        .execute(on)
        .await?;
    Ok(())
}

/// Those that are stored, the oldest first.
pub(super) async fn all(on: impl SqliteExecutor<'_>) -> Result<Vec<StoredBatch>, sqlx::Error> {
    let rows: Vec<(i64, i64)> = sqlx::query_as("SELECT id, rows FROM row_batches ORDER BY id")
        .fetch_all(on)
        .await?;
    let batch = |(id, rows)| StoredBatch {
        id,
        rows: usize::try_from(rows).unwrap_or(usize::MAX),
    };
    Ok(rows.into_iter().map(batch).collect())
}

/// The body of a batch, if it is still stored.
pub(super) async fn body(
    on: impl SqliteExecutor<'_>,
    id: i64,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar("SELECT body FROM row_batches WHERE id = ?")
        .bind(id)
        .fetch_optional(on)
        .await
}

/// Takes out the batches up to this id, the oldest first, in the transaction that writes their rows to the tables.
pub(super) async fn take_until(
    on: &mut sqlx::SqliteConnection,
    last: i64,
) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    let bodies = sqlx::query_scalar("SELECT body FROM row_batches WHERE id <= ? ORDER BY id")
        .bind(last)
        .fetch_all(&mut *on)
        .await?;
    sqlx::query("DELETE FROM row_batches WHERE id <= ?")
        .bind(last)
        .execute(on)
        .await?;
    Ok(bodies)
}
