//! Looking at a state directory without changing anything in it: what `sealgate check` knows of it.

use std::path::Path;

use sqlx::sqlite::SqlitePoolOptions;

use super::alone::Alone;
use super::{LedgerError, PolicyRow, keys, policies, schema};
use crate::audit::AuditLog;
use crate::sqlite;

/// What a state directory holds that decides whether a configuration can be served from it.
#[derive(Debug, Default)]
pub struct StateSeen {
    /// Whether a service runs from it now.
    pub running: bool,
    /// The chain of retention policies, the first one first.
    pub policies: Vec<PolicyRow>,
}

/// Reads what is there, as far as a start would: the ledger's version, its keys and policies, the whole audit log. A
/// directory that is not there yet holds nothing.
pub async fn inspect(state_dir: &Path) -> Result<StateSeen, LedgerError> {
    let running = Alone::is_claimed(state_dir);
    let path = state_dir.join(schema::FILE);
    let mut seen = StateSeen {
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
