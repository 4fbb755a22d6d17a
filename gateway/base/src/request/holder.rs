//! Who holds API keys: organisations, tenants, users and service accounts, and what is registered about each.

use super::Name;

/// A level of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Organisation,
    Tenant,
    /// A user or a service account.
    User,
}

impl Holder {
    pub const fn as_str(self) -> &'static str {
        match self {
            Holder::Organisation => "organisation",
            Holder::Tenant => "tenant",
            Holder::User => "user",
        }
    }
}

/// A person, or a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserKind {
    #[default]
    User,
    ServiceAccount,
}

impl UserKind {
    pub const ALL: [UserKind; 2] = [UserKind::User, UserKind::ServiceAccount];

    pub const fn as_str(self) -> &'static str {
        match self {
            UserKind::User => "user",
            UserKind::ServiceAccount => "service_account",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What is registered about an organisation, a tenant or a user, beside its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    pub owner: Option<Name>,
    pub cost_centre: Option<Name>,
}

/// What changes of it. What is absent stays; the inner `None` removes a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataChanges {
    pub owner: Option<Option<Name>>,
    pub cost_centre: Option<Option<Name>>,
}

impl MetadataChanges {
    pub fn apply(self, to: &mut Metadata) {
        if let Some(owner) = self.owner {
            to.owner = owner;
        }
        if let Some(cost_centre) = self.cost_centre {
            to.cost_centre = cost_centre;
        }
    }

    /// The names of the members that are present.
    pub fn members(&self) -> impl Iterator<Item = &'static str> {
        let present = [
            ("owner", self.owner.is_some()),
            ("cost_centre", self.cost_centre.is_some()),
        ];
        let present = present.into_iter().filter(|(_, present)| *present);
        present.map(|(name, _)| name)
    }
}
