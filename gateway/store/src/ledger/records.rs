//! Queries of the table `records`: one row for each sealed record, whose content is in files beside the database.

use attest_core::{Sha256Digest, UnixTime};
use sqlx::{Row, SqlitePool};

use super::LedgerError;
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

pub(super) async fn add(pool: &SqlitePool, row: &RecordRow) -> Result<(), LedgerError> {
    sqlx::query(
        "INSERT INTO records (receipt_id, tenant, key_digest, policy, deletable, sealed_at, expires_at, state) \
         VALUES (?, ?, ?, ?, ?, ?, ?, 'open')",
    )
    .bind(&row.receipt_id)
    .bind(row.tenant.as_str())
    .bind(&row.key_digest[..])
    .bind(row.policy.to_string())
    .bind(row.deletable)
    .bind(signed(row.sealed_at))
    .bind(signed(row.expires_at))
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn set_state(
    pool: &SqlitePool,
    receipt_id: &str,
    state: RecordState,
) -> Result<(), LedgerError> {
    sqlx::query("UPDATE records SET state = ? WHERE receipt_id = ?")
        .bind(state.as_str())
        .bind(receipt_id)
        .execute(pool)
        .await?;
    Ok(())
}

pub(super) async fn find(
    pool: &SqlitePool,
    receipt_id: &str,
    key_digest: &[u8; 32],
) -> Result<Option<FoundRecord>, LedgerError> {
    let row = sqlx::query("SELECT deletable FROM records WHERE receipt_id = ? AND key_digest = ?")
        .bind(receipt_id)
        .bind(&key_digest[..])
        .fetch_optional(pool)
        .await?;
    let found = row.map(|row| {
        row.try_get("deletable")
            .map(|deletable| FoundRecord { deletable })
    });
    Ok(found.transpose()?)
}

pub(super) async fn expired(pool: &SqlitePool, now: UnixTime) -> Result<Vec<String>, LedgerError> {
    Ok(
        sqlx::query_scalar("SELECT receipt_id FROM records WHERE expires_at <= ? LIMIT 1000")
            .bind(signed(now))
            .fetch_all(pool)
            .await?,
    )
}

pub(super) async fn remove(pool: &SqlitePool, receipt_id: &str) -> Result<bool, LedgerError> {
    let done = sqlx::query("DELETE FROM records WHERE receipt_id = ?")
        .bind(receipt_id)
        .execute(pool)
        .await?;
    Ok(done.rows_affected() == 1)
}

fn signed(time: UnixTime) -> i64 {
    i64::try_from(time.secs()).unwrap_or(i64::MAX)
}
