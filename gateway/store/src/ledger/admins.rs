//! Queries of the table `admin_keys`: the public id of an admin key, its role, and its digest; never the key.

use attest_core::UnixTime;
use sqlx::{Row, SqlitePool, sqlite::SqliteRow};

use super::LedgerError;
use super::keys::time;
use gateway_base::request::Name;

/// What an administrator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads the state of the service.
    ReadOnly,
    /// Also reads keys, retention policies and the audit log.
    Auditor,
    /// Also creates and revokes keys and sets signed retention policies.
    Operator,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::ReadOnly, Role::Auditor, Role::Operator];

    pub const fn as_str(self) -> &'static str {
        match self {
            Role::ReadOnly => "read-only",
            Role::Auditor => "auditor",
            Role::Operator => "operator",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A registered admin key.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminRow {
    pub id: String,
    pub role: Role,
    pub name: Option<Name>,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    pub created_at: UnixTime,
    pub revoked_at: Option<UnixTime>,
}

pub(super) async fn add(pool: &SqlitePool, admin: &AdminRow) -> Result<(), LedgerError> {
    sqlx::query(
        "INSERT INTO admin_keys (id, role, name, digest, created_at) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(&admin.id)
    .bind(admin.role.as_str())
    .bind(admin.name.as_ref().map(Name::as_str))
    .bind(&admin.digest[..])
    .bind(admin.created_at.secs() as i64)
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn find(pool: &SqlitePool, id: &str) -> Result<Option<AdminRow>, LedgerError> {
    let row = sqlx::query("SELECT * FROM admin_keys WHERE id = ?")
        .bind(id)
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn all(pool: &SqlitePool) -> Result<Vec<AdminRow>, LedgerError> {
    let rows = sqlx::query("SELECT * FROM admin_keys ORDER BY created_at, id")
        .fetch_all(pool)
        .await?;
    rows.iter().map(read).collect()
}

pub(super) async fn revoke(pool: &SqlitePool, id: &str, at: UnixTime) -> Result<bool, LedgerError> {
    let done =
        sqlx::query("UPDATE admin_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
            .bind(at.secs() as i64)
            .bind(id)
            .execute(pool)
            .await?;
    Ok(done.rows_affected() == 1)
}

fn read(row: &SqliteRow) -> Result<AdminRow, LedgerError> {
    let corrupt = |what| LedgerError::Corrupt { what };
    let digest: &[u8] = row.try_get("digest")?;
    let name: Option<&str> = row.try_get("name")?;
    let name = name.map(Name::from_operator).transpose();
    Ok(AdminRow {
        id: row.try_get("id")?,
        role: Role::parse(row.try_get("role")?).ok_or(corrupt("role"))?,
        name: name.map_err(|_| corrupt("admin key name"))?,
        digest: digest.try_into().map_err(|_| corrupt("admin key digest"))?,
        created_at: time(row.try_get("created_at")?)?,
        revoked_at: row
            .try_get::<Option<i64>, _>("revoked_at")?
            .map(time)
            .transpose()?,
    })
}
