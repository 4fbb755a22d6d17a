//! What the ledger's directory says about callers, in memory: their organisations, who is disabled, and the labels that
//! their requests may have.

use std::collections::HashMap;
use std::sync::Arc;

use gateway_base::request::{Holder, LabelRules, Name};
use gateway_store::ledger::{DirectoryRows, TenantRow, UserRow};

/// All tenants, as they were when the ledger was last read.
#[derive(Default)]
pub(super) struct Directory {
    tenants: HashMap<Name, Tenant>,
}

struct Tenant {
    organisation: Option<Name>,
    /// It or its organisation is disabled, or it was removed.
    disabled: Option<Holder>,
    labels: Arc<LabelRules>,
    users: HashMap<Name, User>,
}

struct User {
    is_disabled: bool,
}

/// What the directory says about one caller.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Membership {
    pub organisation: Option<Name>,
    pub user: Option<Name>,
    /// Why requests of the caller are refused.
    pub disabled: Option<Holder>,
    pub labels: Arc<LabelRules>,
}

impl Directory {
    pub fn new(rows: DirectoryRows) -> Self {
        let organisations = rows.organisations.iter();
        let disabled = organisations.filter(|row| row.disabled_at.is_some());
        let disabled: Vec<&Name> = disabled.map(|row| &row.name).collect();
        let mut tenants: HashMap<Name, Tenant> = rows
            .tenants
            .into_iter()
            .map(|row| tenant(row, &disabled))
            .collect();
        for UserRow {
            tenant,
            name,
            disabled_at,
            ..
        } in rows.users
        {
            if let Some(tenant) = tenants.get_mut(&tenant) {
                let is_disabled = disabled_at.is_some();
                tenant.users.insert(name, User { is_disabled });
            }
        }
        Self { tenants }
    }

    /// The caller with a key of this tenant, and of this user. A tenant that has no row is like one without anything
    /// registered; a user that has none is disabled.
    pub fn of_key(&self, tenant: &Name, user: Option<&Name>) -> Membership {
        let Some(found) = self.tenants.get(tenant) else {
            return Membership {
                disabled: user.map(|_| Holder::User),
                user: user.cloned(),
                ..Membership::default()
            };
        };
        let user_is_disabled =
            user.is_some_and(|user| found.users.get(user).is_none_or(|user| user.is_disabled));
        Membership {
            organisation: found.organisation.clone(),
            user: user.cloned(),
            disabled: found.disabled.or(user_is_disabled.then_some(Holder::User)),
            labels: found.labels.clone(),
        }
    }
}

fn tenant(row: TenantRow, disabled_organisations: &[&Name]) -> (Name, Tenant) {
    let organisation = row.organisation.as_ref();
    let of_disabled = organisation.is_some_and(|name| disabled_organisations.contains(&name));
    let disabled = if row.disabled_at.is_some() || row.removed_at.is_some() {
        Some(Holder::Tenant)
    } else {
        of_disabled.then_some(Holder::Organisation)
    };
    let tenant = Tenant {
        organisation: row.organisation,
        disabled,
        labels: Arc::new(row.labels),
        users: HashMap::new(),
    };
    (row.name, tenant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use attest_core::UnixTime;
    use gateway_base::request::{Metadata, UserKind};
    use gateway_store::ledger::OrganisationRow;

    const AT: UnixTime = UnixTime::from_secs(1);

    fn name(text: &str) -> Name {
        Name::from_operator(text).expect("a name")
    }

    /// One of each level, of which some are disabled.
    fn directory(organisation: bool, tenant: bool, user: bool) -> Directory {
        let at = |disabled: bool| disabled.then_some(AT);
        Directory::new(DirectoryRows {
            organisations: vec![OrganisationRow {
                name: name("group"),
                metadata: Metadata::default(),
                created_at: AT,
                disabled_at: at(organisation),
            }],
            tenants: vec![TenantRow {
                name: name("acme"),
                organisation: Some(name("group")),
                metadata: Metadata::default(),
                labels: LabelRules::default(),
                created_at: AT,
                disabled_at: at(tenant),
                removed_at: None,
            }],
            users: vec![UserRow {
                tenant: name("acme"),
                name: name("alice"),
                kind: UserKind::User,
                metadata: Metadata::default(),
                created_at: AT,
                disabled_at: at(user),
            }],
        })
    }

    #[test]
    fn a_caller_is_disabled_with_any_level_above_it() {
        for (disabled, expected) in [
            ((false, false, false), None),
            ((true, false, false), Some(Holder::Organisation)),
            ((true, true, true), Some(Holder::Tenant)),
            ((false, false, true), Some(Holder::User)),
        ] {
            let (organisation, tenant, user) = disabled;
            let directory = directory(organisation, tenant, user);
            let member = directory.of_key(&name("acme"), Some(&name("alice")));
            assert_eq!(member.disabled, expected, "{disabled:?}");
            assert_eq!(member.organisation, Some(name("group")));
            assert_eq!(member.user, Some(name("alice")));
        }
        let of_tenant = directory(false, false, true).of_key(&name("acme"), None);
        assert_eq!((of_tenant.disabled, of_tenant.user), (None, None));
    }

    #[test]
    fn a_user_that_is_not_registered_is_disabled_and_a_tenant_that_is_not_is_free() {
        let directory = directory(false, false, false);
        for tenant in ["acme", "other"] {
            let member = directory.of_key(&name(tenant), Some(&name("bob")));
            assert_eq!(member.disabled, Some(Holder::User), "{tenant}");
        }
        let member = directory.of_key(&name("other"), None);
        assert_eq!(member, Membership::default());
    }
}
