//! Queries of the table `epochs`: the keyset, configuration and retention policy of each epoch.

use attest_core::{Sha256Digest, UnixTime};
use sqlx::SqlitePool;

use super::LedgerError;

/// An epoch about to begin.
pub struct EpochRow<'a> {
    pub keyset_digest: Sha256Digest,
    /// The keyset's JCS form, which is needed to verify its receipts later.
    pub keyset: &'a str,
    pub config: Sha256Digest,
    pub retention: Sha256Digest,
    pub began_at: UnixTime,
}

pub(super) async fn begin(pool: &SqlitePool, epoch: &EpochRow<'_>) -> Result<u64, LedgerError> {
    let number: i64 = sqlx::query_scalar(
        "INSERT INTO epochs (keyset_digest, keyset, config, retention, began_at) VALUES (?, ?, ?, ?, ?) RETURNING number",
    )
    .bind(epoch.keyset_digest.to_string())
    .bind(epoch.keyset)
    .bind(epoch.config.to_string())
    .bind(epoch.retention.to_string())
    .bind(epoch.began_at.secs() as i64)
    .fetch_one(pool)
    .await?;
    u64::try_from(number).map_err(|_| LedgerError::Corrupt {
        what: "epoch number",
    })
}
