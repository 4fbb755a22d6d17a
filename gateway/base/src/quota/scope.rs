//! To whom a limit or a budget applies.

use std::fmt;
use std::str::FromStr;

use crate::request::{Caller, KeyId, Name, NameError};

/// Whose requests are counted together. Written `total`, `organisation:NAME`, `tenant:NAME`, `user:TENANT#NAME` or
/// `key:ID`.
///
/// ```
/// # use gateway_base::quota::Scope;
/// let scope: Scope = "user:research#alice".parse().unwrap();
/// assert_eq!(scope.to_string(), "user:research#alice");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// All requests of the service.
    Total,
    Organisation(Name),
    Tenant(Name),
    /// A user or a service account of a tenant.
    User {
        tenant: Name,
        user: Name,
    },
    Key(KeyId),
}

impl Scope {
    /// The scopes that a caller's requests count in, the narrowest first.
    pub fn of_caller(caller: &Caller) -> Vec<Self> {
        let tenant = caller.tenant.clone();
        let key = KeyId::parse(&caller.key_id).map(Scope::Key);
        let user = caller.user.clone().map(|user| Scope::User {
            tenant: tenant.clone(),
            user,
        });
        let organisation = caller.organisation.clone().map(Scope::Organisation);
        let narrow = key.into_iter().chain(user).chain([Scope::Tenant(tenant)]);
        narrow.chain(organisation).chain([Scope::Total]).collect()
    }
}

/// Why a text is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    #[error(
        "is not \"total\", \"organisation:NAME\", \"tenant:NAME\", \"user:TENANT#NAME\" or \"key:ID\""
    )]
    Form,
    #[error("the name {0}")]
    Name(#[from] NameError),
    #[error("the id of a key has 12 hexadecimal digits")]
    KeyId,
}

impl Scope {
    /// What kind it is, without a name.
    pub const fn kind(&self) -> &'static str {
        match self {
            Scope::Total => "total",
            Scope::Organisation(_) => "organisation",
            Scope::Tenant(_) => "tenant",
            Scope::User { .. } => "user",
            Scope::Key(_) => "key",
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text == "total" {
            return Ok(Scope::Total);
        }
        // No name contains a `#`, so that the two names of a user cannot be divided in another way.
        match text.split_once(':').ok_or(ScopeError::Form)? {
            ("organisation", name) => Ok(Scope::Organisation(Name::from_operator(name)?)),
            ("tenant", name) => Ok(Scope::Tenant(Name::from_operator(name)?)),
            ("user", names) => {
                let (tenant, user) = names.split_once('#').ok_or(ScopeError::Form)?;
                let tenant = Name::from_operator(tenant)?;
                let user = Name::from_operator(user)?;
                Ok(Scope::User { tenant, user })
            }
            ("key", id) => Ok(Scope::Key(KeyId::parse(id).ok_or(ScopeError::KeyId)?)),
            _ => Err(ScopeError::Form),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Total => f.write_str("total"),
            Scope::Organisation(name) => write!(f, "organisation:{}", name.as_str()),
            Scope::Tenant(name) => write!(f, "tenant:{}", name.as_str()),
            Scope::User { tenant, user } => write!(f, "user:{}#{}", tenant.as_str(), user.as_str()),
            Scope::Key(id) => write!(f, "key:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_is_read_as_it_is_written() {
        for text in [
            "total",
            "organisation:acme",
            "tenant:acme:eu",
            "user:acme:eu#alice@example.com",
            "key:00112233aabb",
        ] {
            assert_eq!(
                text.parse::<Scope>().map(|scope| scope.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn rejects_scopes_without_a_kind_or_with_a_malformed_name() {
        for (text, error) in [
            ("", ScopeError::Form),
            ("Total", ScopeError::Form),
            ("acme", ScopeError::Form),
            ("team:acme", ScopeError::Form),
            ("tenant:", ScopeError::Name(NameError::Empty)),
            ("tenant:a b", ScopeError::Name(NameError::Character(' '))),
            ("user:alice", ScopeError::Form),
            ("user:acme#", ScopeError::Name(NameError::Empty)),
            ("user:a#b#c", ScopeError::Name(NameError::Character('#'))),
            ("key:alice", ScopeError::KeyId),
        ] {
            assert_eq!(text.parse::<Scope>(), Err(error), "{text}");
        }
    }
}
