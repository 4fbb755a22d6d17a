//! The SQL of the audit log: its tables `entries`, `nodes`, `batches`, `receipt_runs`, `openings` and `head`.
//!
//! Functions here take an executor and say nothing about transactions. What a row means is decided by their callers: rows
//! of a file that was changed by other software are reported as such there.

use std::collections::BTreeMap;
use std::ops::Range;

use sqlx::{QueryBuilder, Row, SqliteConnection, SqliteExecutor};

use super::leaf::Opening;

/// How many entries there are.
pub(super) async fn size(on: impl SqliteExecutor<'_>) -> Result<u64, sqlx::Error> {
    let last: Option<i64> = sqlx::query_scalar("SELECT max(idx) FROM entries")
        .fetch_one(on)
        .await?;
    Ok(last.map_or(0, |last| last as u64 + 1))
}

pub(super) async fn add_entry(
    on: impl SqliteExecutor<'_>,
    index: u64,
    entry: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO entries (idx, entry) VALUES (?, ?)")
        .bind(index as i64)
        .bind(entry)
        .execute(on)
        .await?;
    Ok(())
}

pub(super) async fn entry(
    on: impl SqliteExecutor<'_>,
    index: u64,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar("SELECT entry FROM entries WHERE idx = ?")
        .bind(index as i64)
        .fetch_optional(on)
        .await
}

/// The entries in this range that are there, in order.
pub(super) async fn entries(
    on: impl SqliteExecutor<'_>,
    range: &Range<u64>,
) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar("SELECT entry FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx")
        .bind(range.start as i64)
        .bind(range.end as i64)
        .fetch_all(on)
        .await
}

/// At most `limit` entries from `from` on, with their indexes, one row each.
pub(super) async fn indexed_entries(
    on: impl SqliteExecutor<'_>,
    from: u64,
    limit: i64,
) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    sqlx::query_as("SELECT idx, entry FROM entries WHERE idx >= ? ORDER BY idx LIMIT ?")
        .bind(from as i64)
        .bind(limit)
        .fetch_all(on)
        .await
}

/// Consecutive entries in one row.
pub(super) struct JoinedEntries {
    pub count: i64,
    /// The index of the last one.
    pub last: i64,
    /// The entries, with a line break between each two.
    pub entries: Vec<u8>,
}

/// Like [`indexed_entries`], in one row; `None` at the end of the log.
pub(super) async fn joined_entries(
    on: impl SqliteExecutor<'_>,
    from: u64,
    limit: i64,
) -> Result<Option<JoinedEntries>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT count(*), max(idx), CAST(group_concat(CAST(entry AS TEXT), char(10) ORDER BY idx) AS BLOB) \
         FROM (SELECT idx, entry FROM entries WHERE idx >= ? ORDER BY idx LIMIT ?)",
    )
    .bind(from as i64)
    .bind(limit)
    .fetch_one(on)
    .await?;
    let count: i64 = row.try_get(0)?;
    if count == 0 {
        return Ok(None);
    }
    Ok(Some(JoinedEntries {
        count,
        last: row.try_get(1)?,
        entries: row.try_get(2)?,
    }))
}

/// Removes the entries from `index` on, with everything that belongs to them; `position` is that of the entry's hash.
pub(super) async fn remove_from(
    on: &mut SqliteConnection,
    index: u64,
    position: i64,
) -> Result<(), sqlx::Error> {
    for (statement, from) in [
        ("DELETE FROM entries WHERE idx >= ?", index as i64),
        ("DELETE FROM nodes WHERE position >= ?", position),
        ("DELETE FROM batches WHERE idx >= ?", index as i64),
        ("DELETE FROM receipt_runs WHERE last >= ?", index as i64),
        ("DELETE FROM openings WHERE idx >= ?", index as i64),
    ] {
        sqlx::query(statement).bind(from).execute(&mut *on).await?;
    }
    Ok(())
}

pub(super) async fn add_node(
    on: impl SqliteExecutor<'_>,
    position: i64,
    hash: &[u8; 32],
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO nodes (position, hash) VALUES (?, ?)")
        .bind(position)
        .bind(&hash[..])
        .execute(on)
        .await?;
    Ok(())
}

/// The hashes at these positions, as far as they are there.
pub(super) async fn nodes_at(
    on: impl SqliteExecutor<'_>,
    positions: &[i64],
) -> Result<BTreeMap<i64, Vec<u8>>, sqlx::Error> {
    // One statement of one text: each statement costs two switches to the database's thread.
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT position, hash FROM nodes WHERE position IN (SELECT value FROM json_each(?))",
    )
    .bind(serde_json::json!(positions).to_string())
    .fetch_all(on)
    .await?;
    Ok(rows.into_iter().collect())
}

/// At most `limit` positions and hashes from `first` on, one row each; `None` for a value of another type.
pub(super) async fn nodes(
    on: impl SqliteExecutor<'_>,
    first: i64,
    limit: i64,
) -> Result<Vec<(Option<i64>, Option<Vec<u8>>)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT position, hash FROM nodes WHERE position >= ? ORDER BY position LIMIT ?",
    )
    .bind(first)
    .bind(limit)
    .fetch_all(on)
    .await?;
    let read = rows
        .iter()
        .map(|row| (row.try_get(0).ok(), row.try_get(1).ok()));
    Ok(read.collect())
}

/// Hashes in one row.
pub(super) struct JoinedNodes {
    pub count: i64,
    /// The shortest and the longest hash, in bytes.
    pub lengths: (Option<i64>, Option<i64>),
    /// The hashes, one after another.
    pub hashes: Option<Vec<u8>>,
}

/// The hashes at the positions from `first` to `last`, in one row.
pub(super) async fn joined_nodes(
    on: impl SqliteExecutor<'_>,
    first: i64,
    last: i64,
) -> Result<JoinedNodes, sqlx::Error> {
    let row = sqlx::query(
        "SELECT count(*), min(length(hash)), max(length(hash)), \
         CAST(group_concat(hash, '' ORDER BY position) AS BLOB) FROM nodes WHERE position BETWEEN ? AND ?",
    )
    .bind(first)
    .bind(last)
    .fetch_one(on)
    .await?;
    Ok(JoinedNodes {
        count: row.try_get(0)?,
        lengths: (row.try_get(1)?, row.try_get(2)?),
        hashes: row.try_get(3)?,
    })
}

/// Adds the receipts of the batch at `index`.
pub(super) async fn add_batch(
    on: impl SqliteExecutor<'_>,
    index: u64,
    digests: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO batches (idx, digests) VALUES (?, ?)")
        .bind(index as i64)
        .bind(digests)
        .execute(on)
        .await?;
    Ok(())
}

/// The batches after the index `after`, up to `last`, in order.
pub(super) async fn batches_after(
    on: impl SqliteExecutor<'_>,
    after: i64,
    last: i64,
) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    sqlx::query_as("SELECT idx, digests FROM batches WHERE idx > ? AND idx <= ? ORDER BY idx")
        .bind(after)
        .bind(last)
        .fetch_all(on)
        .await
}

/// The indexes and the lengths in bytes of at most `limit` batches after the index `after`, in order.
pub(super) async fn batch_lens(
    on: impl SqliteExecutor<'_>,
    after: i64,
    limit: u64,
) -> Result<Vec<(i64, u64)>, sqlx::Error> {
    let lens: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT idx, length(digests) FROM batches WHERE idx > ? ORDER BY idx LIMIT ?",
    )
    .bind(after)
    .bind(limit as i64)
    .fetch_all(on)
    .await?;
    let lens = lens.into_iter();
    Ok(lens.map(|(index, len)| (index, len as u64)).collect())
}

/// The indexes of all batches before `size`.
pub(super) async fn batches(
    on: impl SqliteExecutor<'_>,
    size: u64,
) -> Result<Vec<u64>, sqlx::Error> {
    let indexes: Vec<i64> =
        sqlx::query_scalar("SELECT idx FROM batches WHERE idx < ? ORDER BY idx")
            .bind(size as i64)
            .fetch_all(on)
            .await?;
    Ok(indexes.into_iter().map(|index| index as u64).collect())
}

/// Adds a run of receipts: a row for each first byte.
pub(super) async fn add_run(
    on: impl SqliteExecutor<'_>,
    last: i64,
    rows: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    let mut query = QueryBuilder::new("INSERT INTO receipt_runs (bucket, last, places) ");
    query.push_values(rows.iter().enumerate(), |mut row, (bucket, places)| {
        row.push_bind(bucket as i64)
            .push_bind(last)
            .push_bind(&places[..]);
    });
    query.build().execute(on).await?;
    Ok(())
}

/// The index of the last batch that is in a run.
pub(super) async fn last_run(on: impl SqliteExecutor<'_>) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT max(last) FROM receipt_runs WHERE bucket = 0")
        .fetch_one(on)
        .await
}

/// The rows of all runs for this first byte, joined.
pub(super) async fn run_rows(
    on: impl SqliteExecutor<'_>,
    bucket: u8,
) -> Result<Vec<u8>, sqlx::Error> {
    let rows: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT places FROM receipt_runs WHERE bucket = ? ORDER BY last")
            .bind(i64::from(bucket))
            .fetch_all(on)
            .await?;
    Ok(rows.concat())
}

pub(super) async fn add_opening(
    on: impl SqliteExecutor<'_>,
    index: u64,
    opening: &Opening,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO openings (idx, salt, subject) VALUES (?, ?, ?)")
        .bind(index as i64)
        .bind(&opening.salt[..])
        .bind(&opening.subject)
        .execute(on)
        .await?;
    Ok(())
}

/// The salt and the subject of the commitment at `index`.
pub(super) async fn opening(
    on: impl SqliteExecutor<'_>,
    index: u64,
) -> Result<Option<(Vec<u8>, String)>, sqlx::Error> {
    sqlx::query_as("SELECT salt, subject FROM openings WHERE idx = ?")
        .bind(index as i64)
        .fetch_optional(on)
        .await
}

/// The indexes of all openings before `size`.
pub(super) async fn openings(
    on: impl SqliteExecutor<'_>,
    size: u64,
) -> Result<Vec<u64>, sqlx::Error> {
    let indexes: Vec<i64> =
        sqlx::query_scalar("SELECT idx FROM openings WHERE idx < ? ORDER BY idx")
            .bind(size as i64)
            .fetch_all(on)
            .await?;
    Ok(indexes.into_iter().map(|index| index as u64).collect())
}

/// The subjects of the openings in this range, by index.
pub(super) async fn subjects(
    on: impl SqliteExecutor<'_>,
    range: &Range<u64>,
) -> Result<BTreeMap<u64, String>, sqlx::Error> {
    let rows: Vec<(i64, String)> =
        sqlx::query_as("SELECT idx, subject FROM openings WHERE idx >= ? AND idx < ?")
            .bind(range.start as i64)
            .bind(range.end as i64)
            .fetch_all(on)
            .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(index, subject)| (index as u64, subject))
        .collect())
}

/// Replaces the head that was signed last.
pub(super) async fn set_head(on: impl SqliteExecutor<'_>, note: &str) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR REPLACE INTO head (id, note) VALUES (1, ?)")
        .bind(note)
        .execute(on)
        .await?;
    Ok(())
}

pub(super) async fn head(on: impl SqliteExecutor<'_>) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT note FROM head WHERE id = 1")
        .fetch_optional(on)
        .await
}
