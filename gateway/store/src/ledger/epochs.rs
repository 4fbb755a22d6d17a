//! Epochs, in the table `epochs`: the keyset, configuration and retention policy of each epoch.

use sqlx::SqlitePool;

use super::columns::{corrupt, secs};
use super::in_ledger;
use crate::error::StoreError;
use attest_core::{Sha256Digest, UnixTime};

/// An epoch about to begin.
pub struct EpochRow<'a> {
    pub keyset_digest: Sha256Digest,
    /// The keyset's JCS form, which is needed to verify its receipts later.
    pub keyset: &'a str,
    pub config: Sha256Digest,
    pub retention: Sha256Digest,
    pub began_at: UnixTime,
}

/// The epochs that have begun.
pub struct Epochs<'a> {
    pub(super) pool: &'a SqlitePool,
}

impl Epochs<'_> {
    /// Registers a new epoch and returns its number, one above every earlier one.
    pub async fn begin(&self, epoch: &EpochRow<'_>) -> Result<u64, StoreError> {
        let number: i64 = sqlx::query_scalar(
            "INSERT INTO epochs (keyset_digest, keyset, config, retention, began_at) VALUES (?, ?, ?, ?, ?) \
             RETURNING number",
        )
        .bind(epoch.keyset_digest.to_string())
        .bind(epoch.keyset)
        .bind(epoch.config.to_string())
        .bind(epoch.retention.to_string())
        .bind(secs(epoch.began_at))
        .fetch_one(self.pool)
        .await
        .map_err(in_ledger)?;
        u64::try_from(number).map_err(|_| in_ledger(corrupt("epoch number")))
    }
}
