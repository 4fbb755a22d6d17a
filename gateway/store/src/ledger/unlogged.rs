//! Receipts that were stored, and not entered into the audit log because the process died in between.
//!
//! Both take receipts in the order in which they are handed over: what is missing is among the newest. So the newest
//! are compared, and those before them, until there is a chunk that the log has all of.

use attest_core::Sha256Digest;
use sqlx::{Row, SqlitePool};

use super::LedgerError;
use crate::audit::AuditLog;

/// Receipts compared at a time.
const CHUNK: i64 = 1024;

/// Hands the log what it has not got, oldest first within a chunk.
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
