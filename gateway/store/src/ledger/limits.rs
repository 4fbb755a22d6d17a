//! Rate limits, in the table `limits`.

use sqlx::{Row, SqliteExecutor, SqlitePool, sqlite::SqliteRow};

use super::columns::{corrupt, secs, time};
use super::in_ledger;
use crate::audit::AuditLog;
use crate::error::StoreError;
use attest_core::UnixTime;
use attest_core::log::AdminAction;
use gateway_base::quota::{Limit, WrittenLimit};
use gateway_base::request::Name;

/// A limit that is active.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitRow {
    pub id: Name,
    pub limit: Limit,
    pub changed_at: UnixTime,
}

/// The limits. Every change is entered into the audit log before it takes effect.
pub struct Limits<'a> {
    pub(super) pool: &'a SqlitePool,
    pub(super) audit: &'a AuditLog,
}

impl Limits<'_> {
    /// All of them, sorted by id.
    pub async fn all(&self) -> Result<Vec<LimitRow>, StoreError> {
        all(self.pool).await.map_err(in_ledger)
    }

    pub async fn find(&self, id: &Name) -> Result<Option<LimitRow>, StoreError> {
        Ok(self.all().await?.into_iter().find(|row| row.id == *id))
    }

    /// Adds a limit, or replaces the one of that id.
    pub async fn set(&self, row: &LimitRow) -> Result<(), StoreError> {
        let subject = format!("limit {} of {}", row.id, row.limit.scope);
        self.audit
            .append_admin_action(row.changed_at, AdminAction::LimitSet, &subject)
            .await?;
        set(self.pool, row).await.map_err(in_ledger)
    }

    /// Returns false if there is no limit of that id.
    pub async fn remove(&self, id: &Name, at: UnixTime) -> Result<bool, StoreError> {
        if self.find(id).await?.is_none() {
            return Ok(false);
        }
        let subject = format!("limit {id}");
        self.audit
            .append_admin_action(at, AdminAction::LimitRemoved, &subject)
            .await?;
        remove(self.pool, id).await.map_err(in_ledger)
    }
}

pub(super) async fn all(on: impl SqliteExecutor<'_>) -> Result<Vec<LimitRow>, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM limits ORDER BY id")
        .fetch_all(on)
        .await?;
    rows.iter().map(read).collect()
}

async fn set(on: impl SqliteExecutor<'_>, row: &LimitRow) -> Result<(), sqlx::Error> {
    let definition = serde_json::to_string(&row.limit.written())
        .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    sqlx::query(
        "INSERT INTO limits (id, definition, changed_at) VALUES (?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET \
         definition = excluded.definition, changed_at = excluded.changed_at",
    )
    .bind(row.id.as_str())
    .bind(definition)
    .bind(secs(row.changed_at))
    .execute(on)
    .await?;
    Ok(())
}

async fn remove(on: impl SqliteExecutor<'_>, id: &Name) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("DELETE FROM limits WHERE id = ?")
        .bind(id.as_str())
        .execute(on)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// A limit that cannot be read is an error: without it, more would be admitted than was set.
fn read(row: &SqliteRow) -> Result<LimitRow, sqlx::Error> {
    let unreadable = || corrupt("limit");
    let definition: &str = row.try_get("definition")?;
    let written: WrittenLimit = serde_json::from_str(definition).map_err(|_| unreadable())?;
    Ok(LimitRow {
        id: Name::from_operator(row.try_get("id")?).map_err(|_| unreadable())?,
        limit: written.read().map_err(|_| unreadable())?,
        changed_at: time(row.try_get("changed_at")?)?,
    })
}
