//! At the start: adds receipts to the audit log that a crashed process stored in the ledger only.
//!
//! Ledger and log store receipts in the same order, so missing ones are among the newest. The newest are compared in
//! chunks, backwards, until the log has every receipt of a chunk.

use attest_core::Sha256Digest;
use sqlx::{Row, SqlitePool};

use super::LedgerError;
use crate::audit::AuditLog;

/// Receipts compared at a time.
const CHUNK: i64 = 1024;

/// Queues every missing receipt for the log, the oldest of a chunk first.
pub(super) async fn enter(pool: &SqlitePool, audit: &AuditLog) -> Result<(), LedgerError> {
    let mut before = i64::MAX;
    loop {
        let rows = sqlx::query(
            "SELECT rowid, json FROM receipts WHERE rowid < ? ORDER BY rowid DESC LIMIT ?",
        )
        .bind(before)
        .bind(CHUNK)
        .fetch_all(pool)
        .await?;
        let mut missing = Vec::new();
        for row in &rows {
            before = row.try_get(0)?;
            let digest = Sha256Digest::hash(row.try_get(1)?);
            if !audit.has_receipt(&digest).await? {
                missing.push(digest);
            }
        }
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
