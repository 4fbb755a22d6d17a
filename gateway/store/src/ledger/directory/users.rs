//! Users and service accounts of tenants, in the table `users`.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqliteExecutor, SqlitePool};

use super::{
    ActiveKeys, DirectoryError, HolderChanges, Listed, is_known_tenant, listed, metadata, moment,
    name, set_disabled, write,
};
use crate::audit::AuditLog;
use crate::error::StoreError;
use crate::ledger::columns::{corrupt, secs};
use crate::ledger::in_ledger;
use attest_core::UnixTime;
use attest_core::log::AdminAction;
use gateway_base::request::{Holder, Metadata, Name, UserKind};

#[derive(Clone, Debug, PartialEq)]
pub struct UserRow {
    pub tenant: Name,
    pub name: Name,
    pub kind: UserKind,
    pub metadata: Metadata,
    pub created_at: UnixTime,
    pub disabled_at: Option<UnixTime>,
}

/// The users and service accounts.
pub struct Users<'a> {
    pub(in crate::ledger) pool: &'a SqlitePool,
    pub(in crate::ledger) audit: &'a AuditLog,
}

impl Users<'_> {
    /// Those of a tenant.
    pub async fn of_tenant(&self, tenant: &Name) -> Result<Vec<Listed<UserRow>>, DirectoryError> {
        self.check_tenant(tenant).await?;
        let rows = sqlx::query(
            "SELECT u.*, 0 AS members, \
             (SELECT count(*) FROM api_keys k \
              WHERE k.tenant = u.tenant AND k.user_name = u.name AND k.revoked_at IS NULL) AS active_keys, \
             (SELECT count(*) FROM api_keys k \
              WHERE k.tenant = u.tenant AND k.user_name = u.name AND k.revoked_at IS NOT NULL) AS revoked_keys \
             FROM users u WHERE u.tenant = ? ORDER BY u.name",
        )
        .bind(tenant.as_str())
        .fetch_all(self.pool)
        .await
        .map_err(in_ledger)?;
        let rows: Result<_, _> = rows.iter().map(|row| listed(row, read)).collect();
        Ok(rows.map_err(in_ledger)?)
    }

    pub async fn add(&self, user: &UserRow) -> Result<(), DirectoryError> {
        let UserRow { tenant, name, .. } = user;
        self.check_tenant(tenant).await?;
        if self.exists(tenant, name).await? {
            return Err(DirectoryError::Taken(Holder::User));
        }
        let subject = format!("{} {name} of tenant {tenant}", user.kind.as_str());
        self.audit
            .append_admin_action(user.created_at, AdminAction::UserCreated, &subject)
            .await?;
        write(self.pool, async |on| {
            if !is_known_tenant(&mut *on, tenant).await? {
                return Err(NO_TENANT.into());
            }
            if exists(&mut *on, tenant, name).await? {
                return Err(DirectoryError::Taken(Holder::User).into());
            }
            insert(on, user).await?;
            Ok(())
        })
        .await
    }

    /// Changes a user, and returns it as it is now.
    pub async fn change(
        &self,
        (tenant, name): (&Name, &Name),
        at: UnixTime,
        changes: HolderChanges,
    ) -> Result<UserRow, DirectoryError> {
        self.check_user(tenant, name).await?;
        let subject = format!("user {name} of tenant {tenant}: {}", changes.members());
        self.audit
            .append_admin_action(at, AdminAction::UserChanged, &subject)
            .await?;
        write(self.pool, async |on| {
            let found = find(&mut *on, tenant, name).await?;
            let mut row = found.ok_or(MISSING)?;
            changes.metadata.apply(&mut row.metadata);
            set_disabled(&mut row.disabled_at, changes.disabled, at);
            update(on, &row).await?;
            Ok(row)
        })
        .await
    }

    /// Removes a user, and with [`ActiveKeys::Revoke`] its keys. Returns how many were revoked.
    pub async fn remove(
        &self,
        (tenant, name): (&Name, &Name),
        at: UnixTime,
        keys: ActiveKeys,
    ) -> Result<u64, DirectoryError> {
        self.check_user(tenant, name).await?;
        let active = active_keys(self.pool, tenant, name).await;
        let active = active.map_err(in_ledger)?;
        if keys == ActiveKeys::Refuse && active > 0 {
            return Err(DirectoryError::HasActiveKeys { keys: active });
        }
        let subject = format!("user {name} of tenant {tenant}");
        self.audit
            .append_admin_action(at, AdminAction::UserRemoved, &subject)
            .await?;
        write(self.pool, async |on| {
            let active = active_keys(&mut *on, tenant, name).await?;
            if keys == ActiveKeys::Refuse && active > 0 {
                return Err(DirectoryError::HasActiveKeys { keys: active }.into());
            }
            revoke_keys(&mut *on, tenant, name, at).await?;
            delete(on, tenant, name).await?;
            Ok(active)
        })
        .await
    }

    async fn exists(&self, tenant: &Name, name: &Name) -> Result<bool, StoreError> {
        exists(self.pool, tenant, name).await.map_err(in_ledger)
    }

    async fn check_tenant(&self, tenant: &Name) -> Result<(), DirectoryError> {
        match is_known_tenant(self.pool, tenant).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(NO_TENANT),
            Err(error) => Err(in_ledger(error).into()),
        }
    }

    async fn check_user(&self, tenant: &Name, name: &Name) -> Result<(), DirectoryError> {
        self.check_tenant(tenant).await?;
        match self.exists(tenant, name).await? {
            true => Ok(()),
            false => Err(MISSING),
        }
    }
}

const MISSING: DirectoryError = DirectoryError::NotFound(Holder::User);
const NO_TENANT: DirectoryError = DirectoryError::NotFound(Holder::Tenant);

pub(super) async fn all(on: impl SqliteExecutor<'_>) -> Result<Vec<UserRow>, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM users").fetch_all(on).await?;
    rows.iter().map(read).collect()
}

async fn find(
    on: impl SqliteExecutor<'_>,
    tenant: &Name,
    name: &Name,
) -> Result<Option<UserRow>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM users WHERE tenant = ? AND name = ?")
        .bind(tenant.as_str())
        .bind(name.as_str())
        .fetch_optional(on)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Whether a tenant has a user of this name.
pub(in crate::ledger) async fn exists(
    on: impl SqliteExecutor<'_>,
    tenant: &Name,
    name: &Name,
) -> Result<bool, sqlx::Error> {
    Ok(find(on, tenant, name).await?.is_some())
}

async fn insert(on: &mut SqliteConnection, user: &UserRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO users (tenant, name, kind, owner, cost_centre, created_at, disabled_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(user.tenant.as_str())
    .bind(user.name.as_str())
    .bind(user.kind.as_str())
    .bind(user.metadata.owner.as_deref())
    .bind(user.metadata.cost_centre.as_deref())
    .bind(secs(user.created_at))
    .bind(user.disabled_at.map(secs))
    .execute(on)
    .await?;
    Ok(())
}

async fn update(on: &mut SqliteConnection, user: &UserRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE users SET owner = ?, cost_centre = ?, disabled_at = ? WHERE tenant = ? AND name = ?",
    )
    .bind(user.metadata.owner.as_deref())
    .bind(user.metadata.cost_centre.as_deref())
    .bind(user.disabled_at.map(secs))
    .bind(user.tenant.as_str())
    .bind(user.name.as_str())
    .execute(on)
    .await?;
    Ok(())
}

async fn delete(on: &mut SqliteConnection, tenant: &Name, name: &Name) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM users WHERE tenant = ? AND name = ?")
        .bind(tenant.as_str())
        .bind(name.as_str())
        .execute(on)
        .await?;
    Ok(())
}

async fn active_keys(
    on: impl SqliteExecutor<'_>,
    tenant: &Name,
    name: &Name,
) -> Result<u64, sqlx::Error> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM api_keys WHERE tenant = ? AND user_name = ? AND revoked_at IS NULL",
    )
    .bind(tenant.as_str())
    .bind(name.as_str())
    .fetch_one(on)
    .await?;
    Ok(count.unsigned_abs())
}

async fn revoke_keys(
    on: &mut SqliteConnection,
    tenant: &Name,
    name: &Name,
    at: UnixTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE api_keys SET revoked_at = ? WHERE tenant = ? AND user_name = ? AND revoked_at IS NULL",
    )
    .bind(secs(at))
    .bind(tenant.as_str())
    .bind(name.as_str())
    .execute(on)
    .await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<UserRow, sqlx::Error> {
    let kind: &str = row.try_get("kind")?;
    Ok(UserRow {
        tenant: name(row, "tenant")?,
        name: name(row, "name")?,
        kind: UserKind::parse(kind).ok_or_else(|| corrupt("kind of user"))?,
        metadata: metadata(row)?,
        created_at: moment(row, "created_at")?.ok_or_else(|| corrupt("time"))?,
        disabled_at: moment(row, "disabled_at")?,
    })
}
