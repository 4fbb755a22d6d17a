//! Reads a state directory without changing it, for `sealgate check`.

use std::path::Path;

use sqlx::sqlite::SqlitePoolOptions;

use super::state_dir_lock::StateDirLock;
use super::{LedgerError, PolicyRow, keys, policies, schema};
use crate::audit::AuditLog;
use crate::sqlite;

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
pub async fn inspect(state_dir: &Path) -> Result<StateSummary, LedgerError> {
    let running = StateDirLock::is_held(state_dir);
    let path = state_dir.join(schema::FILE);
    let mut seen = StateSummary {
        running,
        policies: Vec::new(),
    };
    if path.exists() {
        schema::check_reading(&path).await?;
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(sqlite::reading(&path))
            .await?;
        let version = schema::version(&path, &pool).await?;
        if version > 0 {
            keys::all(&pool).await?;
        }
        if version >= schema::WITH_POLICIES {
            seen.policies = policies::all(&pool).await?;
        }
        pool.close().await;
    }
    AuditLog::check(state_dir).await?;
    Ok(seen)
}
