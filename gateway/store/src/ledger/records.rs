//! Sealed records, in the table `records`: one row for each sealed record, whose content is in files beside the database.

use sqlx::SqlitePool;

use super::columns::secs;
use super::in_ledger;
use crate::error::StoreError;
use attest_core::{Sha256Digest, UnixTime};
use gateway_base::request::Name;

/// A record about to be sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRow {
    pub receipt_id: String,
    pub tenant: Name,
    /// Digest of the API key that made the request.
    pub key_digest: [u8; 32],
    /// Digest of the policy under which it was sealed.
    pub policy: Sha256Digest,
    /// Whether the caller of the request may delete it.
    pub deletable: bool,
    pub sealed_at: UnixTime,
    pub expires_at: UnixTime,
}

/// How complete a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// Request and the whole response.
    Whole,
    /// The response was cut short; the part that was received is sealed.
    Cut,
    /// No model responded.
    Refused,
    /// A part of it could not be written.
    Failed,
}

impl RecordState {
    pub fn as_str(self) -> &'static str {
        match self {
            RecordState::Whole => "whole",
            RecordState::Cut => "cut",
            RecordState::Refused => "refused",
            RecordState::Failed => "failed",
        }
    }
}

/// What is needed to decide about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundRecord {
    pub deletable: bool,
}

/// The sealed records.
pub struct Records<'a> {
    pub(super) pool: &'a SqlitePool,
    /// Commits on it are flushed to the disk.
    pub(super) flushing: &'a SqlitePool,
}

impl Records<'_> {
    /// Registers a sealed record before its files are created. On the disk when this returns.
    pub async fn add(&self, row: &RecordRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO records (receipt_id, tenant, key_digest, policy, deletable, sealed_at, expires_at, state) \
             VALUES (?, ?, ?, ?, ?, ?, ?, 'open')",
        )
        .bind(&row.receipt_id)
        .bind(row.tenant.as_str())
        .bind(&row.key_digest[..])
        .bind(row.policy.to_string())
        .bind(row.deletable)
        .bind(secs(row.sealed_at))
        .bind(secs(row.expires_at))
        .execute(self.flushing)
        .await
        .map_err(in_ledger)?;
        Ok(())
    }

    /// Stores how complete a record is.
    pub async fn set_state(&self, receipt_id: &str, state: RecordState) -> Result<(), StoreError> {
        sqlx::query("UPDATE records SET state = ? WHERE receipt_id = ?")
            .bind(state.as_str())
            .bind(receipt_id)
            .execute(self.pool)
            .await
            .map_err(in_ledger)?;
        Ok(())
    }

    /// The record of this id that belongs to `key_digest`.
    pub async fn find(
        &self,
        receipt_id: &str,
        key_digest: &[u8; 32],
    ) -> Result<Option<FoundRecord>, StoreError> {
        let deletable: Option<bool> = sqlx::query_scalar(
            "SELECT deletable FROM records WHERE receipt_id = ? AND key_digest = ?",
        )
        .bind(receipt_id)
        .bind(&key_digest[..])
        .fetch_optional(self.pool)
        .await
        .map_err(in_ledger)?;
        Ok(deletable.map(|deletable| FoundRecord { deletable }))
    }

    /// Ids of expired records, at most a thousand.
    pub async fn expired(&self, now: UnixTime) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar("SELECT receipt_id FROM records WHERE expires_at <= ? LIMIT 1000")
            .bind(secs(now))
            .fetch_all(self.pool)
            .await
            .map_err(in_ledger)
    }

    /// Deletes the row of a record, after its files were deleted. Returns whether it existed.
    pub async fn remove(&self, receipt_id: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM records WHERE receipt_id = ?")
            .bind(receipt_id)
            .execute(self.pool)
            .await
            .map_err(in_ledger)?;
        Ok(done.rows_affected() == 1)
    }
}
