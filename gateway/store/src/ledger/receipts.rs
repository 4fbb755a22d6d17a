//! Receipts, in the table `receipts`; those that are not there yet are found through the queue.

use bytes::Bytes;
use sqlx::{QueryBuilder, Sqlite, SqliteExecutor, SqlitePool};

use super::batch::{ReceiptValues, receipt_key, record_at};
use super::columns::secs;
use super::row_queue::{RowQueue, count_loss, receipt_json};
use super::{RetentionClock, batches, in_ledger};
use crate::audit::AuditLog;
use crate::error::StoreError;
use attest_core::{Sha256Digest, UnixTime};

/// A receipt and what is needed to find it.
#[derive(Clone, PartialEq)]
pub struct ReceiptRow {
    pub receipt_id: String,
    /// The response's own id, when it had one.
    pub chat_id: Option<String>,
    /// Digest of the API key that it belongs to.
    pub key_digest: [u8; 32],
    /// The document, with its signature or without.
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
    /// Queues a receipt, which can be fetched from now on until `until`. Its digest is entered into the audit log.
    pub fn store(&self, row: &ReceiptRow, until: UnixTime) {
        self.store_with_digest(row, Sha256Digest::hash(&row.json), until);
    }

    /// The same, with the digest of the document.
    pub fn store_with_digest(&self, row: &ReceiptRow, digest: Sha256Digest, until: UnixTime) {
        self.audit.receipt(digest);
        count_loss(self.queue.push_receipt(row, until), &self.audit.losses());
    }

    /// The receipt with this receipt id or response id that belongs to `key_digest`, unless it has expired.
    pub async fn find(&self, id: &str, key_digest: &[u8; 32]) -> Result<Option<Bytes>, StoreError> {
        let now = self.clock.now();
        // In the order of a row's way: it is removed from a place only after it has reached the next one.
        if let Some(json) = self.queue.receipt(id, key_digest, now) {
            return Ok(Some(json));
        }
        for (batch, place) in self.queue.stored_places(receipt_key(id, key_digest)) {
            let body = batches::body(self.pool, batch.id)
                .await
                .map_err(in_ledger)?;
            let record = body.as_deref().and_then(|body| record_at(body, place));
            let json = record.and_then(|record| receipt_json(&record, id, key_digest, now));
            if let Some(json) = json {
                return Ok(Some(json));
            }
        }
        let json = find(self.pool, id, key_digest, now)
            .await
            .map_err(in_ledger)?;
        Ok(json.map(Bytes::from))
    }
}

/// Looks for the receipt's own id, then for the response's in each group of them.
async fn find(
    on: &SqlitePool,
    id: &str,
    key_digest: &[u8; 32],
    now: UnixTime,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar(
        "WITH RECURSIVE chat_groups(number) AS (\
            SELECT max(chat_group) FROM receipts WHERE chat_group >= 0 \
            UNION ALL \
            SELECT (SELECT max(chat_group) FROM receipts WHERE chat_group < number) FROM chat_groups \
            WHERE number IS NOT NULL\
         ), found(place) AS (\
            SELECT rowid FROM receipts WHERE receipt_id = ?1 \
            UNION ALL \
            SELECT receipts.rowid FROM chat_groups CROSS JOIN receipts ON chat_group = number AND chat_id = ?1\
         ) \
         SELECT json FROM found CROSS JOIN receipts ON receipts.rowid = place \
         WHERE key_digest = ?2 AND expires_at > ?3 ORDER BY receipt_id = ?1 DESC, place DESC LIMIT 1",
    )
    .bind(id)
    .bind(&key_digest[..])
    .bind(secs(now))
    .fetch_optional(on)
    .await
}

/// The group of response ids that the next receipts belong to.
pub(super) async fn next_chat_group(on: impl SqliteExecutor<'_>) -> Result<i64, sqlx::Error> {
    let last: Option<i64> = sqlx::query_scalar("SELECT max(rowid) FROM receipts")
        .fetch_one(on)
        .await?;
    Ok(last.unwrap_or(0) >> 16)
}

/// Inserts receipts, except those that are stored already.
pub(super) async fn insert(
    on: impl SqliteExecutor<'_>,
    rows: &[ReceiptValues<'_>],
    chat_group: i64,
) -> Result<(), sqlx::Error> {
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO receipts (receipt_id, chat_id, key_digest, json, served_at, expires_at, chat_group) ",
    );
    insert.push_values(rows, |mut values, row| {
        values
            .push_bind(row.receipt_id)
            .push_bind(row.chat_id)
            .push_bind(row.key_digest)
            .push_bind(row.json)
            .push_bind(row.served_at)
            .push_bind(row.expires_at)
            .push_bind(row.chat_id.map(|_| chat_group));
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
