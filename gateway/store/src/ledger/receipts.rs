//! Queries of the tables `receipts` and `sessions`, for committed rows.

use attest_core::{SessionId, UnixTime};
use bytes::Bytes;
use sqlx::SqlitePool;

use super::LedgerError;

pub(super) async fn find(
    pool: &SqlitePool,
    id: &str,
    key_digest: &[u8; 32],
    now: UnixTime,
) -> Result<Option<Bytes>, LedgerError> {
    let json: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT json FROM receipts WHERE (receipt_id = ?1 OR chat_id = ?1) AND key_digest = ?2 AND expires_at > ?3 \
         ORDER BY receipt_id = ?1 DESC, rowid DESC LIMIT 1",
    )
    .bind(id)
    .bind(&key_digest[..])
    .bind(i64::try_from(now.secs()).unwrap_or(i64::MAX))
    .fetch_optional(pool)
    .await?;
    Ok(json.map(Bytes::from))
}

/// The sessions stored last, the newest first.
pub(super) async fn newest_sessions(
    pool: &SqlitePool,
    count: u32,
) -> Result<Vec<Bytes>, LedgerError> {
    let rows: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT json FROM sessions ORDER BY rowid DESC LIMIT ?")
            .bind(count)
            .fetch_all(pool)
            .await?;
    Ok(rows.into_iter().map(Bytes::from).collect())
}

pub(super) async fn find_session(
    pool: &SqlitePool,
    id: &SessionId,
) -> Result<Option<Bytes>, LedgerError> {
    let json: Option<Vec<u8>> = sqlx::query_scalar("SELECT json FROM sessions WHERE id = ?")
        .bind(&id.as_bytes()[..])
        .fetch_optional(pool)
        .await?;
    Ok(json.map(Bytes::from))
}
