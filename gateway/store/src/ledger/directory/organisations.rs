//! Organisations, in the table `organisations`.

use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqliteExecutor, SqlitePool};

use super::tenants::remove_in as remove_tenant;
use super::{
    ActiveKeys, DirectoryError, HolderChanges, Listed, listed, metadata, moment, name,
    set_disabled, write,
};
use crate::audit::AuditLog;
use crate::error::StoreError;
use crate::ledger::columns::{corrupt, secs};
use crate::ledger::in_ledger;
use attest_core::UnixTime;
use attest_core::log::AdminAction;
use gateway_base::request::{Holder, Metadata, Name};

#[derive(Clone, Debug, PartialEq)]
pub struct OrganisationRow {
    pub name: Name,
    pub metadata: Metadata,
    pub created_at: UnixTime,
    pub disabled_at: Option<UnixTime>,
}

/// The organisations.
pub struct Organisations<'a> {
    pub(in crate::ledger) pool: &'a SqlitePool,
    pub(in crate::ledger) audit: &'a AuditLog,
}

impl Organisations<'_> {
    pub async fn all(&self) -> Result<Vec<Listed<OrganisationRow>>, StoreError> {
        let rows = sqlx::query(
            "SELECT o.*, \
             (SELECT count(*) FROM tenants t WHERE t.organisation = o.name AND t.removed_at IS NULL) AS members, \
             (SELECT count(*) FROM api_keys k JOIN tenants t ON t.name = k.tenant \
              WHERE t.organisation = o.name AND k.revoked_at IS NULL) AS active_keys, \
             (SELECT count(*) FROM api_keys k JOIN tenants t ON t.name = k.tenant \
              WHERE t.organisation = o.name AND k.revoked_at IS NOT NULL) AS revoked_keys \
             FROM organisations o ORDER BY o.name",
        )
        .fetch_all(self.pool)
        .await
        .map_err(in_ledger)?;
        let rows: Result<_, _> = rows.iter().map(|row| listed(row, read)).collect();
        rows.map_err(in_ledger)
    }

    pub async fn add(&self, row: &OrganisationRow) -> Result<(), DirectoryError> {
        if self.find(&row.name).await?.is_some() {
            return Err(DirectoryError::Taken(Holder::Organisation));
        }
        self.enter(
            row.created_at,
            AdminAction::OrganisationCreated,
            &row.name,
            "",
        )
        .await?;
        write(self.pool, async |on| {
            if find(&mut *on, &row.name).await?.is_some() {
                return Err(DirectoryError::Taken(Holder::Organisation).into());
            }
            insert(on, row).await?;
            Ok(())
        })
        .await
    }

    /// Changes an organisation, and returns it as it is now.
    pub async fn change(
        &self,
        name: &Name,
        at: UnixTime,
        changes: HolderChanges,
    ) -> Result<OrganisationRow, DirectoryError> {
        self.find(name).await?.ok_or(MISSING)?;
        self.enter(
            at,
            AdminAction::OrganisationChanged,
            name,
            &changes.members(),
        )
        .await?;
        write(self.pool, async |on| {
            let mut row = find(&mut *on, name).await?.ok_or(MISSING)?;
            changes.metadata.apply(&mut row.metadata);
            set_disabled(&mut row.disabled_at, changes.disabled, at);
            update(on, &row).await?;
            Ok(row)
        })
        .await
    }

    /// Removes an organisation, and with [`ActiveKeys::Revoke`] its tenants and their keys. Returns how many keys were
    /// revoked.
    pub async fn remove(
        &self,
        name: &Name,
        at: UnixTime,
        keys: ActiveKeys,
    ) -> Result<u64, DirectoryError> {
        self.find(name).await?.ok_or(MISSING)?;
        let tenants = tenants_of(self.pool, name).await.map_err(in_ledger)?;
        if keys == ActiveKeys::Refuse && !tenants.is_empty() {
            let tenants = tenants.len() as u64;
            return Err(DirectoryError::HasTenants { tenants });
        }
        for tenant in &tenants {
            let subject = format!("tenant {tenant}");
            self.audit
                .append_admin_action(at, AdminAction::TenantRemoved, &subject)
                .await?;
        }
        self.enter(at, AdminAction::OrganisationRemoved, name, "")
            .await?;
        write(self.pool, async |on| {
            let mut revoked = 0;
            for tenant in &tenants {
                revoked += remove_tenant(&mut *on, tenant, at).await?.unwrap_or(0);
            }
            // One that was added since has no entry in the log.
            let left = tenants_of(&mut *on, name).await?.len() as u64;
            if left > 0 {
                return Err(DirectoryError::HasTenants { tenants: left }.into());
            }
            delete(on, name).await?;
            Ok(revoked)
        })
        .await
    }

    async fn find(&self, name: &Name) -> Result<Option<OrganisationRow>, StoreError> {
        find(self.pool, name).await.map_err(in_ledger)
    }

    async fn enter(
        &self,
        at: UnixTime,
        action: AdminAction,
        name: &Name,
        members: &str,
    ) -> Result<(), StoreError> {
        let colon = if members.is_empty() { "" } else { ": " };
        let subject = format!("organisation {name}{colon}{members}");
        self.audit.append_admin_action(at, action, &subject).await?;
        Ok(())
    }
}

const MISSING: DirectoryError = DirectoryError::NotFound(Holder::Organisation);

pub(super) async fn all(on: impl SqliteExecutor<'_>) -> Result<Vec<OrganisationRow>, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM organisations")
        .fetch_all(on)
        .await?;
    rows.iter().map(read).collect()
}

pub(super) async fn find(
    on: impl SqliteExecutor<'_>,
    name: &Name,
) -> Result<Option<OrganisationRow>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM organisations WHERE name = ?")
        .bind(name.as_str())
        .fetch_optional(on)
        .await?;
    row.as_ref().map(read).transpose()
}

/// The tenants of an organisation that were not removed.
async fn tenants_of(
    on: impl SqliteExecutor<'_>,
    organisation: &Name,
) -> Result<Vec<Name>, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM tenants WHERE organisation = ? AND removed_at IS NULL ORDER BY name",
    )
    .bind(organisation.as_str())
    .fetch_all(on)
    .await?;
    let names = names.iter().map(|name| Name::from_operator(name));
    names
        .collect::<Result<_, _>>()
        .map_err(|_| corrupt("tenant name"))
}

async fn insert(on: &mut SqliteConnection, row: &OrganisationRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO organisations (name, owner, cost_centre, created_at, disabled_at) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(row.name.as_str())
    .bind(row.metadata.owner.as_deref())
    .bind(row.metadata.cost_centre.as_deref())
    .bind(secs(row.created_at))
    .bind(row.disabled_at.map(secs))
    .execute(on)
    .await?;
    Ok(())
}

async fn update(on: &mut SqliteConnection, row: &OrganisationRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE organisations SET owner = ?, cost_centre = ?, disabled_at = ? WHERE name = ?",
    )
    .bind(row.metadata.owner.as_deref())
    .bind(row.metadata.cost_centre.as_deref())
    .bind(row.disabled_at.map(secs))
    .bind(row.name.as_str())
    .execute(on)
    .await?;
    Ok(())
}

async fn delete(on: &mut SqliteConnection, name: &Name) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM organisations WHERE name = ?")
        .bind(name.as_str())
        .execute(on)
        .await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<OrganisationRow, sqlx::Error> {
    Ok(OrganisationRow {
        name: name(row, "name")?,
        metadata: metadata(row)?,
        created_at: moment(row, "created_at")?.ok_or_else(|| corrupt("time"))?,
        disabled_at: moment(row, "disabled_at")?,
    })
}
