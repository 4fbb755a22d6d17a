//! Attested sessions, in the table `sessions`; those that are not there yet are found through the queue.

use std::time::Duration;

use bytes::Bytes;
use sqlx::{SqliteExecutor, SqlitePool};

use super::batch::{SessionValues, record_at, session_key};
use super::row_queue::{RowQueue, count_loss, session_json};
use super::{batches, in_ledger};
use crate::audit::AuditLog;
use crate::error::StoreError;
use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_core::{SessionId, UnixTime};

/// An attested session.
#[derive(Clone, PartialEq)]
pub struct SessionRow {
    pub id: SessionId,
    /// The JCS document, whose SHA-256 is `id`.
    pub json: Bytes,
    pub expires_at: UnixTime,
}

/// The stored sessions.
pub struct Sessions<'a> {
    pub(super) pool: &'a SqlitePool,
    pub(super) queue: &'a RowQueue,
    pub(super) audit: &'a AuditLog,
    /// For how long receipts are stored.
    pub(super) receipt_lifetime: Duration,
}

impl Sessions<'_> {
    /// Queues a session's document, which can be fetched from now on. Storing it again changes nothing.
    pub fn store(&self, row: &SessionRow) {
        // Receipts can cite a session until it expires, and each receipt is stored for `receipt_lifetime` from then on.
        let expires_at = row.expires_at.max(SystemClock.now());
        let keep_until = expires_at.plus(self.receipt_lifetime);
        let pushed = self.queue.push_session(row, keep_until);
        count_loss(pushed, &self.audit.losses());
    }

    pub async fn find(&self, id: &SessionId) -> Result<Option<Bytes>, StoreError> {
        // In the order of a row's way: it is removed from a place only after it has reached the next one.
        if let Some(json) = self.queue.session(id) {
            return Ok(Some(json));
        }
        for (batch, place) in self.queue.stored_places(session_key(id.as_bytes())) {
            let body = batches::body(self.pool, batch.id)
                .await
                .map_err(in_ledger)?;
            let record = body.as_deref().and_then(|body| record_at(body, place));
            if let Some(json) = record.and_then(|record| session_json(&record, id)) {
                return Ok(Some(json));
            }
        }
        let json: Option<Vec<u8>> = sqlx::query_scalar("SELECT json FROM sessions WHERE id = ?")
            .bind(&id.as_bytes()[..])
            .fetch_optional(self.pool)
            .await
            .map_err(in_ledger)?;
        Ok(json.map(Bytes::from))
    }

    /// The documents stored last, the newest first. Rows that cannot be written are not among them.
    pub async fn newest(&self, count: u32) -> Result<Vec<Bytes>, StoreError> {
        let _ = self.queue.in_tables().await;
        let rows: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT json FROM sessions ORDER BY rowid DESC LIMIT ?")
                .bind(count)
                .fetch_all(self.pool)
                .await
                .map_err(in_ledger)?;
        Ok(rows.into_iter().map(Bytes::from).collect())
    }
}

/// Inserts a session, unless it is stored already.
pub(super) async fn insert(
    on: impl SqliteExecutor<'_>,
    row: &SessionValues<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO sessions (id, json, keep_until) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
    )
    .bind(row.id)
    .bind(row.json)
    .bind(row.keep_until)
    .execute(on)
    .await?;
    Ok(())
}

/// Deletes expired sessions. Takes the time and the most sessions to delete.
pub(super) const DELETE_EXPIRED: &str = "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE keep_until <= ? LIMIT ?)";
