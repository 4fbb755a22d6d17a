//! The chain of retention policies, in the table `retention_policies`.
//!
//! Rows are not trusted: the reader verifies the chain and its signatures.

use sqlx::{Row, SqliteExecutor, SqlitePool, sqlite::SqliteRow};

use super::columns::{corrupt, secs, signed, time};
use super::in_ledger;
use crate::error::StoreError;
use attest_core::{Sha256Digest, UnixTime};

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

/// The chain of retention policies.
pub struct Policies<'a> {
    pub(super) pool: &'a SqlitePool,
}

impl Policies<'_> {
    /// All of them, the first one first.
    pub async fn all(&self) -> Result<Vec<PolicyRow>, StoreError> {
        all(self.pool).await.map_err(in_ledger)
    }

    /// Appends a policy to the chain. Returns false if its epoch number is taken.
    pub async fn add(&self, row: &PolicyRow) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO retention_policies (epoch, digest, policy, signatures, set_at) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT DO NOTHING",
        )
        .bind(signed(row.epoch))
        .bind(row.digest.to_string())
        .bind(&row.policy)
        .bind(&row.signatures)
        .bind(secs(row.set_at))
        .execute(self.pool)
        .await
        .map_err(in_ledger)?;
        Ok(done.rows_affected() == 1)
    }

    /// Replaces the signatures of a policy.
    pub async fn sign(&self, digest: Sha256Digest, signatures: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE retention_policies SET signatures = ? WHERE digest = ?")
            .bind(signatures)
            .bind(digest.to_string())
            .execute(self.pool)
            .await
            .map_err(in_ledger)?;
        Ok(())
    }

    /// The number of the last policy; 0 without one.
    pub async fn last(&self) -> Result<u64, StoreError> {
        let epoch: Option<i64> = sqlx::query_scalar("SELECT max(epoch) FROM retention_policies")
            .fetch_one(self.pool)
            .await
            .map_err(in_ledger)?;
        Ok(epoch.map_or(0, |epoch| u64::try_from(epoch).unwrap_or(0)))
    }
}

pub(super) async fn all(on: impl SqliteExecutor<'_>) -> Result<Vec<PolicyRow>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT epoch, digest, policy, signatures, set_at FROM retention_policies ORDER BY epoch",
    )
    .fetch_all(on)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &SqliteRow) -> Result<PolicyRow, sqlx::Error> {
    let corrupt = || corrupt("retention policy");
    let digest: &str = row.try_get("digest")?;
    Ok(PolicyRow {
        epoch: u64::try_from(row.try_get::<i64, _>("epoch")?).map_err(|_| corrupt())?,
        digest: Sha256Digest::parse(digest).map_err(|_| corrupt())?,
        policy: row.try_get("policy")?,
        signatures: row.try_get("signatures")?,
        set_at: time(row.try_get("set_at")?).map_err(|_| corrupt())?,
    })
}
