//! Administrators, in the table `admin_keys`: the public id of an admin key, its role, and its digest; never the key.

use sqlx::{Row, SqlitePool, sqlite::SqliteRow};

use super::columns::{corrupt, secs, time};
use super::in_ledger;
use crate::audit::AuditLog;
use crate::error::StoreError;
use attest_core::UnixTime;
use attest_core::log::AdminAction;
use gateway_base::request::{Name, Role};

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

/// The administrators. Every change is entered into the audit log before it takes effect.
pub struct Admins<'a> {
    pub(super) pool: &'a SqlitePool,
    pub(super) audit: &'a AuditLog,
}

impl Admins<'_> {
    pub async fn all(&self) -> Result<Vec<AdminRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM admin_keys ORDER BY created_at, id")
            .fetch_all(self.pool)
            .await
            .map_err(in_ledger)?;
        let rows = rows.iter().map(read).collect::<Result<_, _>>();
        rows.map_err(in_ledger)
    }

    /// The administrator with this admin key id, revoked or not.
    pub async fn find(&self, id: &str) -> Result<Option<AdminRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM admin_keys WHERE id = ?")
            .bind(id)
            .fetch_optional(self.pool)
            .await
            .map_err(in_ledger)?;
        row.as_ref().map(read).transpose().map_err(in_ledger)
    }

    pub async fn add(&self, admin: &AdminRow) -> Result<(), StoreError> {
        let subject = format!("admin key {} with the role {}", admin.id, admin.role);
        let action = AdminAction::AdministratorCreated;
        self.audit
            .append_admin_action(admin.created_at, action, &subject)
            .await?;
        sqlx::query(
            "INSERT INTO admin_keys (id, role, name, digest, created_at) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&admin.id)
        .bind(admin.role.as_str())
        .bind(admin.name.as_ref().map(Name::as_str))
        .bind(&admin.digest[..])
        .bind(secs(admin.created_at))
        .execute(self.pool)
        .await
        .map_err(in_ledger)?;
        Ok(())
    }

    /// Returns false if no active admin key has that id.
    pub async fn revoke(&self, id: &str, at: UnixTime) -> Result<bool, StoreError> {
        let found = self.find(id).await?;
        let Some(admin) = found.filter(|admin| admin.revoked_at.is_none()) else {
            return Ok(false);
        };
        let subject = format!("admin key {id} with the role {}", admin.role);
        self.audit
            .append_admin_action(at, AdminAction::AdministratorRevoked, &subject)
            .await?;
        let done =
            sqlx::query("UPDATE admin_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
                .bind(secs(at))
                .bind(id)
                .execute(self.pool)
                .await
                .map_err(in_ledger)?;
        Ok(done.rows_affected() == 1)
    }
}

fn read(row: &SqliteRow) -> Result<AdminRow, sqlx::Error> {
    let digest: &[u8] = row.try_get("digest")?;
    let name: Option<&str> = row.try_get("name")?;
    let name = name.map(Name::from_operator).transpose();
    Ok(AdminRow {
        id: row.try_get("id")?,
        role: Role::parse(row.try_get("role")?).ok_or_else(|| corrupt("role"))?,
        name: name.map_err(|_| corrupt("admin key name"))?,
        digest: digest.try_into().map_err(|_| corrupt("admin key digest"))?,
        created_at: time(row.try_get("created_at")?)?,
        revoked_at: row
            .try_get::<Option<i64>, _>("revoked_at")?
            .map(time)
            .transpose()?,
    })
}
