//! Queries of the table `api_keys`: a public id, the tenant, and the digest of the key; never the key.

use attest_core::UnixTime;
use sqlx::{Connection, Row, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::LedgerError;
use crate::sqlite::DatabaseFile;
use gateway_base::request::Name;

/// A key about to be registered.
pub struct NewKey {
    pub id: String,
    pub tenant: Name,
    pub name: Option<Name>,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    pub created_at: UnixTime,
}

/// A registered key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRow {
    pub id: String,
    pub tenant: Name,
    pub name: Option<Name>,
    pub digest: [u8; 32],
    pub created_at: UnixTime,
    pub revoked_at: Option<UnixTime>,
}

/// The active keys after a change, and the number of that change.
pub struct ChangedKeys {
    pub keys: Vec<KeyRow>,
    pub generation: i64,
}

/// The number of the last change to the keys.
pub(super) async fn generation(pool: &SqlitePool) -> Result<i64, LedgerError> {
    let generation = sqlx::query_scalar("SELECT generation FROM key_changes")
        .fetch_one(pool)
        .await?;
    Ok(generation)
}

pub(super) async fn add(pool: &SqlitePool, key: &NewKey) -> Result<(), LedgerError> {
    sqlx::query(
        "INSERT INTO api_keys (id, tenant, name, digest, created_at) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(&key.id)
    .bind(key.tenant.as_str())
    .bind(key.name.as_ref().map(Name::as_str))
    .bind(&key.digest[..])
    .bind(key.created_at.secs() as i64)
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn all(pool: &SqlitePool) -> Result<Vec<KeyRow>, LedgerError> {
    let rows = sqlx::query(
        "SELECT id, tenant, name, digest, created_at, revoked_at FROM api_keys ORDER BY created_at, id",
    )
    .fetch_all(pool)
    .await?;
    rows.iter().map(read).collect()
}

/// The tenant of an active key.
pub(super) async fn active(pool: &SqlitePool, id: &str) -> Result<Option<String>, LedgerError> {
    let tenant =
        sqlx::query_scalar("SELECT tenant FROM api_keys WHERE id = ? AND revoked_at IS NULL")
            .bind(id)
            .fetch_optional(pool)
            .await?;
    Ok(tenant)
}

/// Whether a key was ever made for this tenant.
pub(super) async fn knows(pool: &SqlitePool, tenant: &Name) -> Result<bool, LedgerError> {
    let found = sqlx::query("SELECT 1 FROM api_keys WHERE tenant = ? LIMIT 1")
        .bind(tenant.as_str())
        .fetch_optional(pool)
        .await?;
    Ok(found.is_some())
}

/// How many keys of this tenant are active.
pub(super) async fn count_active(pool: &SqlitePool, tenant: &Name) -> Result<u64, LedgerError> {
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM api_keys WHERE tenant = ? AND revoked_at IS NULL")
            .bind(tenant.as_str())
            .fetch_one(pool)
            .await?;
    Ok(count.unsigned_abs())
}

/// Revokes every key of a tenant in one statement; returns how many were active.
pub(super) async fn revoke_all(
    pool: &SqlitePool,
    tenant: &Name,
    at: UnixTime,
) -> Result<u64, LedgerError> {
    let done =
        sqlx::query("UPDATE api_keys SET revoked_at = ? WHERE tenant = ? AND revoked_at IS NULL")
            .bind(at.secs() as i64)
            .bind(tenant.as_str())
            .execute(pool)
            .await?;
    Ok(done.rows_affected())
}

pub(super) async fn revoke(pool: &SqlitePool, id: &str, at: UnixTime) -> Result<bool, LedgerError> {
    let done =
        sqlx::query("UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
            .bind(at.secs() as i64)
            .bind(id)
            .execute(pool)
            .await?;
    Ok(done.rows_affected() == 1)
}

fn read(row: &SqliteRow) -> Result<KeyRow, LedgerError> {
    let corrupt = |_| LedgerError::Corrupt {
        what: "API key name",
    };
    let digest: &[u8] = row.try_get("digest")?;
    let name: Option<&str> = row.try_get("name")?;
    Ok(KeyRow {
        id: row.try_get("id")?,
        tenant: Name::from_operator(row.try_get("tenant")?).map_err(corrupt)?,
        name: name.map(Name::from_operator).transpose().map_err(corrupt)?,
        digest: digest.try_into().map_err(|_| LedgerError::Corrupt {
            what: "API key digest",
        })?,
        created_at: time(row.try_get("created_at")?)?,
        revoked_at: row
            .try_get::<Option<i64>, _>("revoked_at")?
            .map(time)
            .transpose()?,
    })
}

pub(super) fn time(secs: i64) -> Result<UnixTime, LedgerError> {
    u64::try_from(secs)
        .map(UnixTime::from_secs)
        .map_err(|_| LedgerError::Corrupt { what: "time" })
}

/// Detects changes to the keys. A poll costs one pragma if no other connection has committed, and one row otherwise.
pub struct ChangeWatch {
    file: DatabaseFile,
    connection: SqliteConnection,
    version: Option<i64>,
    generation: Option<i64>,
}

impl ChangeWatch {
    pub(super) async fn open(file: &DatabaseFile) -> Result<Self, LedgerError> {
        let connection = file.connect().await?;
        Ok(Self {
            file: file.clone(),
            connection,
            version: None,
            generation: None,
        })
    }

    /// The active keys, if they have changed since the last call.
    pub async fn changed_keys(&mut self) -> Result<Option<ChangedKeys>, LedgerError> {
        let changed = self.poll().await;
        if changed.is_err() {
            // The state of the connection's transaction is unknown after an error, so it is replaced.
            self.connection = self.file.connect().await?;
            self.version = None;
        }
        changed
    }

    async fn poll(&mut self) -> Result<Option<ChangedKeys>, LedgerError> {
        let version: i64 = sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut self.connection)
            .await?;
        if self.version == Some(version) {
            return Ok(None);
        }
        let mut snapshot = self.connection.begin().await?;
        let generation: i64 = sqlx::query_scalar("SELECT generation FROM key_changes")
            .fetch_one(&mut *snapshot)
            .await?;
        if self.generation == Some(generation) {
            snapshot.commit().await?;
            self.version = Some(version);
            return Ok(None);
        }
        let rows = sqlx::query(
            "SELECT id, tenant, name, digest, created_at, revoked_at FROM api_keys \
             WHERE revoked_at IS NULL",
        )
        .fetch_all(&mut *snapshot)
        .await?;
        snapshot.commit().await?;
        let keys = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        self.version = Some(version);
        self.generation = Some(generation);
        Ok(Some(ChangedKeys { keys, generation }))
    }
}
