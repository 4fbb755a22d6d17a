//! Queries of the table `retention_policies`: the chain of retention policies.
//!
//! Rows are not trusted: the reader verifies the chain and its signatures.

use attest_core::{Sha256Digest, UnixTime};
use sqlx::{Row, SqlitePool};

use super::LedgerError;

/// One policy of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRow {
    pub epoch: u64,
    pub digest: Sha256Digest,
    /// The form with the names and the salt (`RetentionPolicy::stored_text`); `digest` is of the published form.
    pub policy: String,
    /// Signatures, one a line.
    pub signatures: String,
    pub set_at: UnixTime,
}

pub(super) async fn all(pool: &SqlitePool) -> Result<Vec<PolicyRow>, LedgerError> {
    let rows = sqlx::query(
        "SELECT epoch, digest, policy, signatures, set_at FROM retention_policies ORDER BY epoch",
    )
    .fetch_all(pool)
    .await?;
    let corrupt = LedgerError::Corrupt {
        what: "retention policy",
    };
    let read = |row: &sqlx::sqlite::SqliteRow| -> Result<Option<PolicyRow>, sqlx::Error> {
        let number = |name| {
            row.try_get(name)
                .map(|value: i64| u64::try_from(value).ok())
        };
        let digest: String = row.try_get("digest")?;
        let parts = number("epoch")?
            .zip(number("set_at")?)
            .zip(Sha256Digest::parse(&digest).ok());
        let Some(((epoch, set_at), digest)) = parts else {
            return Ok(None);
        };
        Ok(Some(PolicyRow {
            epoch,
            digest,
            policy: row.try_get("policy")?,
            signatures: row.try_get("signatures")?,
            set_at: UnixTime::from_secs(set_at),
        }))
    };
    let rows = rows
        .iter()
        .map(read)
        .collect::<Result<Option<Vec<_>>, _>>()?;
    rows.ok_or(corrupt)
}

/// Appends a policy to the chain. Returns false if its epoch number is taken.
pub(super) async fn add(pool: &SqlitePool, row: &PolicyRow) -> Result<bool, LedgerError> {
    let done = sqlx::query(
        "INSERT INTO retention_policies (epoch, digest, policy, signatures, set_at) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT DO NOTHING",
    )
    .bind(i64::try_from(row.epoch).unwrap_or(i64::MAX))
    .bind(row.digest.to_string())
    .bind(&row.policy)
    .bind(&row.signatures)
    .bind(i64::try_from(row.set_at.secs()).unwrap_or(i64::MAX))
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Replaces the signatures of a policy.
pub(super) async fn sign(
    pool: &SqlitePool,
    digest: Sha256Digest,
    signatures: &str,
) -> Result<(), LedgerError> {
    sqlx::query("UPDATE retention_policies SET signatures = ? WHERE digest = ?")
        .bind(signatures)
        .bind(digest.to_string())
        .execute(pool)
        .await?;
    Ok(())
}

/// The number of the last policy; 0 without one.
pub(super) async fn last(pool: &SqlitePool) -> Result<u64, LedgerError> {
    let epoch: Option<i64> = sqlx::query_scalar("SELECT max(epoch) FROM retention_policies")
        .fetch_one(pool)
        .await?;
    Ok(epoch.map_or(0, |epoch| u64::try_from(epoch).unwrap_or(0)))
}
