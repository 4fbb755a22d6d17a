//! Reads a state directory without changing it, for `sealgate check`.

use std::path::Path;

use super::schema::{LEDGER, WITH_POLICIES, WITH_WHOLE_KEYS};
use super::state_dir_lock::StateDirLock;
use super::{PolicyRow, in_ledger, keys, policies};
use crate::audit::AuditLog;
use crate::error::StoreError;

/// The content of a state directory that decides whether a configuration can be served from it.
#[derive(Debug, Default)]
pub struct StateSummary {
    /// Whether a service runs from it now.
    pub running: bool,
    /// The chain of retention policies, the first one first.
    pub policies: Vec<PolicyRow>,
}

/// Reads what a start would read: the ledger's schema version, its keys and policies, the whole audit log. A missing
/// directory counts as empty.
pub async fn inspect(state_dir: &Path) -> Result<StateSummary, StoreError> {
    let running = StateDirLock::is_held(state_dir);
    let mut seen = StateSummary {
        running,
        policies: Vec::new(),
    };
    if let Some(ledger) = LEDGER.open_reading(state_dir).await? {
        // The keys of an earlier version are read by the start that brings them to this one.
        if ledger.version >= WITH_WHOLE_KEYS {
            keys::all(&ledger.pool).await.map_err(in_ledger)?;
        }
        if ledger.version >= WITH_POLICIES {
            let policies = policies::all(&ledger.pool).await;
            seen.policies = policies.map_err(in_ledger)?;
        }
        ledger.pool.close().await;
    }
    AuditLog::check(state_dir).await?;
    Ok(seen)
}
