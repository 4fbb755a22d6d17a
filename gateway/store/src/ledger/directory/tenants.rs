//! Tenants, in the table `tenants`.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqliteExecutor, SqlitePool};

use super::{
    ActiveKeys, DirectoryError, Listed, disabled_words, listed, metadata, moment, name,
    optional_name, organisations, set_disabled, write,
};
use crate::audit::AuditLog;
use crate::error::StoreError;
use crate::ledger::columns::{corrupt, secs};
use crate::ledger::in_ledger;
use attest_core::UnixTime;
use attest_core::log::AdminAction;
use gateway_base::request::{
    Holder, Label, LabelRules, LabelsError, Metadata, MetadataChanges, Name,
};

/// A tenant about to be created.
pub struct NewTenant {
    pub name: Name,
    pub organisation: Option<Name>,
    pub metadata: Metadata,
    pub labels: LabelRules,
    pub created_at: UnixTime,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TenantRow {
    pub name: Name,
    pub organisation: Option<Name>,
    pub metadata: Metadata,
    pub labels: LabelRules,
    pub created_at: UnixTime,
    pub disabled_at: Option<UnixTime>,
    /// Its keys are revoked. It is created again by a new key.
    pub removed_at: Option<UnixTime>,
}

/// What changes about a tenant. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TenantChanges {
    /// The inner `None`: it belongs to none.
    pub organisation: Option<Option<Name>>,
    pub metadata: MetadataChanges,
    pub labels: LabelChanges,
    pub disabled: Option<bool>,
}

/// What changes about the labels of a tenant's requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelChanges {
    pub scenarios: Option<Vec<Name>>,
    pub owners: Option<Vec<Name>>,
    pub required: Option<Vec<Label>>,
}

impl LabelChanges {
    pub fn apply(self, to: &mut LabelRules) -> Result<(), LabelsError> {
        if let Some(values) = self.scenarios {
            to.set_values(Label::Scenario, values)?;
        }
        if let Some(values) = self.owners {
            to.set_values(Label::Owner, values)?;
        }
        if let Some(required) = self.required {
            to.set_required(&required);
        }
        Ok(())
    }

    fn members(&self) -> impl Iterator<Item = &'static str> {
        let present = [
            ("scenarios", self.scenarios.is_some()),
            ("owners", self.owners.is_some()),
            ("required", self.required.is_some()),
        ];
        let present = present.into_iter().filter(|(_, present)| *present);
        present.map(|(name, _)| name)
    }
}

impl TenantChanges {
    fn members(&self) -> String {
        let organisation = self.organisation.as_ref().map(|_| "organisation");
        let members = organisation.into_iter().chain(self.metadata.members());
        let members = members.chain(self.labels.members());
        let members: Vec<_> = members.chain(disabled_words(self.disabled)).collect();
        members.join(", ")
    }
}

/// The tenants.
pub struct Tenants<'a> {
    pub(in crate::ledger) pool: &'a SqlitePool,
    pub(in crate::ledger) audit: &'a AuditLog,
}

impl Tenants<'_> {
    /// Every tenant, removed ones included.
    pub async fn all(&self) -> Result<Vec<Listed<TenantRow>>, StoreError> {
        let rows = sqlx::query(
            "SELECT t.*, \
             (SELECT count(*) FROM users u WHERE u.tenant = t.name) AS members, \
             (SELECT count(*) FROM api_keys k WHERE k.tenant = t.name AND k.revoked_at IS NULL) AS active_keys, \
             (SELECT count(*) FROM api_keys k WHERE k.tenant = t.name AND k.revoked_at IS NOT NULL) AS revoked_keys \
             FROM tenants t ORDER BY t.name",
        )
        .fetch_all(self.pool)
        .await
        .map_err(in_ledger)?;
        let rows: Result<_, _> = rows.iter().map(|row| listed(row, read)).collect();
        rows.map_err(in_ledger)
    }

    /// A tenant that was not removed.
    pub async fn find(&self, name: &Name) -> Result<Option<TenantRow>, StoreError> {
        find(self.pool, name).await.map_err(in_ledger)
    }

    pub async fn add(&self, tenant: NewTenant) -> Result<TenantRow, DirectoryError> {
        if self.find(&tenant.name).await?.is_some() {
            return Err(DirectoryError::Taken(Holder::Tenant));
        }
        let NewTenant {
            name,
            organisation,
            metadata,
            labels,
            created_at,
        } = tenant;
        if let Some(organisation) = &organisation {
            let found = organisations::find(self.pool, organisation).await;
            found.map_err(in_ledger)?.ok_or(NO_ORGANISATION)?;
        }
        let subject = format!("tenant {name}");
        self.audit
            .append_admin_action(created_at, AdminAction::TenantCreated, &subject)
            .await?;
        write(self.pool, async |on| {
            if find(&mut *on, &name).await?.is_some() {
                return Err(DirectoryError::Taken(Holder::Tenant).into());
            }
            ensure(&mut *on, &name, created_at).await?;
            let row = TenantRow {
                name,
                organisation,
                metadata,
                labels,
                created_at,
                disabled_at: None,
                removed_at: None,
            };
            check_organisation(&mut *on, &row).await?;
            update(on, &row).await?;
            Ok(row)
        })
        .await
    }

    /// Changes a tenant, and returns it as it is now.
    pub async fn change(
        &self,
        name: &Name,
        at: UnixTime,
        changes: TenantChanges,
    ) -> Result<TenantRow, DirectoryError> {
        self.find(name).await?.ok_or(MISSING)?;
        if let Some(Some(organisation)) = &changes.organisation {
            let found = organisations::find(self.pool, organisation).await;
            found.map_err(in_ledger)?.ok_or(NO_ORGANISATION)?;
        }
        let subject = format!("tenant {name}: {}", changes.members());
        self.audit
            .append_admin_action(at, AdminAction::TenantChanged, &subject)
            .await?;
        write(self.pool, async |on| {
            let mut row = find(&mut *on, name).await?.ok_or(MISSING)?;
            if let Some(organisation) = changes.organisation {
                row.organisation = organisation;
            }
            changes.metadata.apply(&mut row.metadata);
            changes
                .labels
                .apply(&mut row.labels)
                .map_err(DirectoryError::Labels)?;
            set_disabled(&mut row.disabled_at, changes.disabled, at);
            check_organisation(&mut *on, &row).await?;
            update(on, &row).await?;
            Ok(row)
        })
        .await
    }

    /// Removes a tenant and its users, and revokes its keys. Returns how many were active.
    pub async fn remove(
        &self,
        name: &Name,
        at: UnixTime,
        keys: ActiveKeys,
    ) -> Result<u64, DirectoryError> {
        self.find(name).await?.ok_or(MISSING)?;
        let active = active_keys(self.pool, name).await.map_err(in_ledger)?;
        if keys == ActiveKeys::Refuse && active > 0 {
            return Err(DirectoryError::HasActiveKeys { keys: active });
        }
        let subject = format!("tenant {name}");
        self.audit
            .append_admin_action(at, AdminAction::TenantRemoved, &subject)
            .await?;
        write(self.pool, async |on| {
            let active = active_keys(&mut *on, name).await?;
            if keys == ActiveKeys::Refuse && active > 0 {
                return Err(DirectoryError::HasActiveKeys { keys: active }.into());
            }
            let revoked = remove_in(on, name, at).await?;
            Ok(revoked.ok_or(MISSING)?)
        })
        .await
    }
}

const MISSING: DirectoryError = DirectoryError::NotFound(Holder::Tenant);
const NO_ORGANISATION: DirectoryError = DirectoryError::NotFound(Holder::Organisation);

/// An organisation may have been removed since it was checked first.
async fn check_organisation(
    on: &mut SqliteConnection,
    row: &TenantRow,
) -> Result<(), super::Failed> {
    if let Some(organisation) = &row.organisation {
        let found = organisations::find(on, organisation).await?;
        found.ok_or(NO_ORGANISATION)?;
    }
    Ok(())
}

pub(super) async fn all(on: impl SqliteExecutor<'_>) -> Result<Vec<TenantRow>, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM tenants").fetch_all(on).await?;
    rows.iter().map(read).collect()
}

async fn find(on: impl SqliteExecutor<'_>, name: &Name) -> Result<Option<TenantRow>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM tenants WHERE name = ? AND removed_at IS NULL")
        .bind(name.as_str())
        .fetch_optional(on)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Whether there is a tenant of this name that was not removed.
pub(in crate::ledger) async fn is_known(
    on: impl SqliteExecutor<'_>,
    name: &Name,
) -> Result<bool, sqlx::Error> {
    Ok(find(on, name).await?.is_some())
}

/// Creates the tenant if there is none of this name. One that was removed begins again, with nothing registered.
pub(in crate::ledger) async fn ensure(
    on: impl SqliteExecutor<'_>,
    name: &Name,
    at: UnixTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO tenants (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET \
         organisation = NULL, owner = NULL, cost_centre = NULL, scenarios = '[]', owners = '[]', required = '[]', \
         created_at = excluded.created_at, disabled_at = NULL, removed_at = NULL WHERE removed_at IS NOT NULL",
    )
    .bind(name.as_str())
    .bind(secs(at))
    .execute(on)
    .await?;
    Ok(())
}

async fn update(on: &mut SqliteConnection, row: &TenantRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE tenants SET organisation = ?, owner = ?, cost_centre = ?, scenarios = ?, owners = ?, required = ?, \
         disabled_at = ? WHERE name = ?",
    )
    .bind(row.organisation.as_deref())
    .bind(row.metadata.owner.as_deref())
    .bind(row.metadata.cost_centre.as_deref())
    .bind(written(row.labels.values(Label::Scenario).iter().map(Name::as_str))?)
    .bind(written(row.labels.values(Label::Owner).iter().map(Name::as_str))?)
    .bind(written(row.labels.required().map(Label::as_str))?)
    .bind(row.disabled_at.map(secs))
    .bind(row.name.as_str())
    .execute(on)
    .await?;
    Ok(())
}

/// Marks a tenant as removed, deletes its users and revokes its keys. Returns how many were active; `None` if there is no
/// such tenant.
pub(super) async fn remove_in(
    on: &mut SqliteConnection,
    name: &Name,
    at: UnixTime,
) -> Result<Option<u64>, sqlx::Error> {
    let removed =
        sqlx::query("UPDATE tenants SET removed_at = ? WHERE name = ? AND removed_at IS NULL")
            .bind(secs(at))
            .bind(name.as_str())
            .execute(&mut *on)
            .await?;
    if removed.rows_affected() == 0 {
        return Ok(None);
    }
    sqlx::query("DELETE FROM users WHERE tenant = ?")
        .bind(name.as_str())
        .execute(&mut *on)
        .await?;
    let revoked =
        sqlx::query("UPDATE api_keys SET revoked_at = ? WHERE tenant = ? AND revoked_at IS NULL")
            .bind(secs(at))
            .bind(name.as_str())
            .execute(on)
            .await?;
    Ok(Some(revoked.rows_affected()))
}

async fn active_keys(on: impl SqliteExecutor<'_>, tenant: &Name) -> Result<u64, sqlx::Error> {
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM api_keys WHERE tenant = ? AND revoked_at IS NULL")
            .bind(tenant.as_str())
            .fetch_one(on)
            .await?;
    Ok(count.unsigned_abs())
}

fn written<'w>(words: impl Iterator<Item = &'w str>) -> Result<String, sqlx::Error> {
    let words: Vec<&str> = words.collect();
    serde_json::to_string(&words).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

fn read(row: &SqliteRow) -> Result<TenantRow, sqlx::Error> {
    Ok(TenantRow {
        name: name(row, "name")?,
        organisation: optional_name(row, "organisation")?,
        metadata: metadata(row)?,
        labels: labels(row)?,
        created_at: moment(row, "created_at")?.ok_or_else(|| corrupt("time"))?,
        disabled_at: moment(row, "disabled_at")?,
        removed_at: moment(row, "removed_at")?,
    })
}

/// Rules that cannot be read are an error: without them requests could be counted to anything.
fn labels(row: &SqliteRow) -> Result<LabelRules, sqlx::Error> {
    let unreadable = || corrupt("labels of a tenant");
    let words = |column| -> Result<Vec<String>, sqlx::Error> {
        let text: &str = row.try_get(column)?;
        serde_json::from_str(text).map_err(|_| unreadable())
    };
    let mut rules = LabelRules::default();
    for (label, column) in [(Label::Scenario, "scenarios"), (Label::Owner, "owners")] {
        let words = words(column)?;
        let names = words.iter().map(|word| Name::from_operator(word));
        let names: Result<Vec<Name>, _> = names.collect();
        let set = names.map(|names| rules.set_values(label, names));
        set.map_err(|_| unreadable())?.map_err(|_| unreadable())?;
    }
    let required = words("required")?;
    let required = required.iter().map(|word| Label::parse(word));
    let required: Option<Vec<Label>> = required.collect();
    rules.set_required(&required.ok_or_else(unreadable)?);
    Ok(rules)
}
