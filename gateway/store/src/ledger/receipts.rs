//! Receipts, in the table `receipts`; those that are not committed yet are found in the queue.

use bytes::Bytes;
use sqlx::{QueryBuilder, Sqlite, SqliteExecutor, SqlitePool};

use super::columns::secs;
use super::row_queue::{RowQueue, count_loss};
use super::{RetentionClock, in_ledger};
use crate::audit::AuditLog;
use crate::error::StoreError;
use attest_core::{Sha256Digest, UnixTime};

/// A signed receipt and what is needed to find it.
#[derive(Clone, PartialEq)]
pub struct ReceiptRow {
    pub receipt_id: String,
    /// The response's own id, when it had one.
    pub chat_id: Option<String>,
    /// Digest of the API key that it belongs to.
    pub key_digest: [u8; 32],
    /// The signed document.
    pub json: Bytes,
    pub served_at: UnixTime,
}

/// The stored receipts.
pub struct Receipts<'a> {
    pub(super) pool: &'a SqlitePool,
    pub(super) queue: &'a RowQueue,
    pub(super) audit: &'a AuditLog,
    pub(super) clock: &'a RetentionClock,
}

impl Receipts<'_> {
    /// Queues a signed receipt, which can be fetched from now on until `until`. Its digest is entered into the audit log.
    pub fn store(&self, row: ReceiptRow, until: UnixTime) {
        self.audit.receipt(Sha256Digest::hash(&row.json));
        count_loss(self.queue.push_receipt(row, until), &self.audit.losses());
    }

    /// The receipt with this receipt id or response id that belongs to `key_digest`, unless it has expired.
    pub async fn find(&self, id: &str, key_digest: &[u8; 32]) -> Result<Option<Bytes>, StoreError> {
        // The queue first: a row is removed from it only after its commit, so one of the two has it.
        if let Some(json) = self.queue.receipt(id, key_digest) {
            return Ok(Some(json));
        }
        let json: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT json FROM receipts WHERE (receipt_id = ?1 OR chat_id = ?1) AND key_digest = ?2 AND expires_at > ?3 \
             ORDER BY receipt_id = ?1 DESC, rowid DESC LIMIT 1",
        )
        .bind(id)
        .bind(&key_digest[..])
        .bind(secs(self.clock.now()))
        .fetch_optional(self.pool)
        .await
        .map_err(in_ledger)?;
        Ok(json.map(Bytes::from))
    }
}

/// Inserts receipts that expire at the given times, except those that are stored already.
pub(super) async fn insert(
    on: impl SqliteExecutor<'_>,
    rows: &[(&ReceiptRow, UnixTime)],
) -> Result<(), sqlx::Error> {
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO receipts (receipt_id, chat_id, key_digest, json, served_at, expires_at) ",
    );
    insert.push_values(rows, |mut values, (row, until)| {
        values
            .push_bind(&row.receipt_id)
            .push_bind(row.chat_id.as_deref())
            .push_bind(&row.key_digest[..])
            .push_bind(&row.json[..])
            .push_bind(secs(row.served_at))
            .push_bind(secs(*until));
    });
    insert.push(" ON CONFLICT (receipt_id) DO NOTHING");
    insert.build().execute(on).await?;
    Ok(())
}

/// Deletes expired receipts. Takes the time and the most receipts to delete.
pub(super) const DELETE_EXPIRED: &str = "DELETE FROM receipts WHERE rowid IN (SELECT rowid FROM receipts WHERE expires_at <= ? LIMIT ?)";

/// At most `limit` receipts that were stored before the one at `before`, the newest first, each with its own place.
pub(super) async fn stored_before(
    on: impl SqliteExecutor<'_>,
    before: i64,
    limit: i64,
) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    sqlx::query_as("SELECT rowid, json FROM receipts WHERE rowid < ? ORDER BY rowid DESC LIMIT ?")
        .bind(before)
        .bind(limit)
        .fetch_all(on)
        .await
}
