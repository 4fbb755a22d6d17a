//! At the start: adds receipts to the audit log that a crashed process stored in the ledger only.
//!
//! Ledger and log store receipts in the same order, so missing ones are among the newest. The newest are compared in
//! chunks, backwards, until the log has every receipt of a chunk.

use sqlx::SqlitePool;

use super::{in_ledger, receipts};
use crate::audit::AuditLog;
use crate::error::StoreError;
use attest_core::Sha256Digest;

/// Receipts compared at a time.
const CHUNK: i64 = 1024;

/// Queues every missing receipt for the log, the oldest of a chunk first.
pub(super) async fn enter(pool: &SqlitePool, audit: &AuditLog) -> Result<(), StoreError> {
    let mut before = i64::MAX;
    loop {
        let rows = receipts::stored_before(pool, before, CHUNK).await;
        let rows = rows.map_err(in_ledger)?;
        before = rows.last().map_or(before, |(place, _)| *place);
        let digests = rows.iter().map(|(_, json)| Sha256Digest::hash(json));
        let missing = audit.missing_receipts(digests.collect()).await?;
        let seen_enough = missing.is_empty() || rows.len() < CHUNK as usize;
        missing
            .into_iter()
            .rev()
            .for_each(|digest| audit.receipt(digest));
        if seen_enough {
            return Ok(());
        }
    }
}
