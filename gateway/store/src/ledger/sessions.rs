//! Attested sessions, in the table `sessions`; those that are not committed yet are found in the queue.

use bytes::Bytes;
use sqlx::{SqliteExecutor, SqlitePool};

use super::columns::secs;
use super::in_ledger;
use super::row_queue::{RowQueue, count_loss};
use crate::audit::AuditLog;
use crate::error::StoreError;
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
}

impl Sessions<'_> {
    /// Queues a session's document, which can be fetched from now on. Storing it again changes nothing.
    pub fn store(&self, row: SessionRow) {
        count_loss(self.queue.push_session(row), &self.audit.losses());
    }

    pub async fn find(&self, id: &SessionId) -> Result<Option<Bytes>, StoreError> {
        // The queue first: a row is removed from it only after its commit, so one of the two has it.
        if let Some(json) = self.queue.session(id) {
            return Ok(Some(json));
        }
        let json: Option<Vec<u8>> = sqlx::query_scalar("SELECT json FROM sessions WHERE id = ?")
            .bind(&id.as_bytes()[..])
            .fetch_optional(self.pool)
            .await
            .map_err(in_ledger)?;
        Ok(json.map(Bytes::from))
    }

    /// The documents stored last, committed ones only, the newest first.
    pub async fn newest(&self, count: u32) -> Result<Vec<Bytes>, StoreError> {
        let rows: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT json FROM sessions ORDER BY rowid DESC LIMIT ?")
                .bind(count)
                .fetch_all(self.pool)
                .await
                .map_err(in_ledger)?;
        Ok(rows.into_iter().map(Bytes::from).collect())
    }
}

/// Inserts a session that is stored until `keep_until`, unless it is stored already.
pub(super) async fn insert(
    on: impl SqliteExecutor<'_>,
    row: &SessionRow,
    keep_until: UnixTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO sessions (id, json, keep_until) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&row.id.as_bytes()[..])
    .bind(&row.json[..])
    .bind(secs(keep_until))
    .execute(on)
    .await?;
    Ok(())
}

/// Deletes expired sessions. Takes the time and the most sessions to delete.
pub(super) const DELETE_EXPIRED: &str = "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE keep_until <= ? LIMIT ?)";
