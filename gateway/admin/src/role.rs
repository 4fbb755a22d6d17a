//! The three roles, each with all permissions of the one before it.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use subtle::ConstantTimeEq;

use super::credential::claimed_id;
use super::router::Admin;
use gateway_base::config::identity::Purpose;
use gateway_base::errors::{ApiError, TokenFault};
use gateway_base::request::Role;
use gateway_identity::Granted;
use gateway_path::admit::{bearer, digest};
use gateway_path::http::Connection;

/// The role that a handler needs.
pub(crate) trait Need: Send + Sync {
    const ROLE: Role;
}

pub(crate) struct Viewing;
pub(crate) struct Auditing;
pub(crate) struct Operating;

impl Need for Viewing {
    const ROLE: Role = Role::ReadOnly;
}
impl Need for Auditing {
    const ROLE: Role = Role::Auditor;
}
impl Need for Operating {
    const ROLE: Role = Role::Operator;
}

/// An administrator whose key or token was checked, with at least the role that `N` needs. Only a request makes one.
pub(crate) struct By<N: Need> {
    /// The public part of the admin key, or the public id of the token's subject.
    pub id: String,
    /// The name that the key was given, or that of the token's issuer.
    pub name: Option<String>,
    pub role: Role,
    need: PhantomData<N>,
}

impl<N: Need> FromRequestParts<Arc<Admin>> for By<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers)?;
        let connection = parts.extensions.get::<Connection>();
        let connection = connection.ok_or(ApiError::Internal)?;
        let known = match by_token(connection, token) {
            Some(known) => known?,
            None => by_key(admin, token).await?,
        };
        // Also for a role that is not sufficient: the administrator is known, and the connection needs no more protection
        // from eviction by strangers.
        connection.authenticated()?;
        if known.role < N::ROLE {
            return Err(ApiError::RoleNeeded {
                role: N::ROLE.as_str(),
            });
        }
        let Administrator { id, name, role } = known;
        Ok(Self {
            id,
            name,
            role,
            need: PhantomData,
        })
    }
}

/// An administrator that a credential was checked for.
struct Administrator {
    id: String,
    name: Option<String>,
    role: Role,
}

/// By a token of an identity provider; `None` if the credential is not a token.
fn by_token(connection: &Connection, token: &str) -> Option<Result<Administrator, ApiError>> {
    let identities = &connection.epoch.identities;
    if !token.contains('.') || !identities.accepts(Purpose::Administrators) {
        return None;
    }
    let verified = identities.verify(Purpose::Administrators, token);
    Some(verified.map_err(ApiError::Token).and_then(|verified| {
        match verified.granted {
            Granted::Role(role) => Ok(Administrator {
                id: verified.subject.public_id(),
                name: Some(verified.issuer.to_string()),
                role,
            }),
            // The configuration accepts no such rule for administrators.
            Granted::Tenant(_) => Err(ApiError::Token(TokenFault::NotMapped)),
        }
    }))
}

/// By an admin key.
async fn by_key(admin: &Admin, token: &str) -> Result<Administrator, ApiError> {
    let id = claimed_id(token).ok_or(ApiError::InvalidKey)?;
    // Read from the ledger for each request, so that a revoked key is refused from the next request on.
    let row = admin.ledger.admins().find(id).await;
    let row = row
        .map_err(|_| ApiError::Internal)?
        .filter(|row| row.revoked_at.is_none())
        .ok_or(ApiError::InvalidKey)?;
    // In constant time, although digests are compared: how much of one matches must not show in the time.
    if !bool::from(row.digest.ct_eq(&digest(token))) {
        return Err(ApiError::InvalidKey);
    }
    Ok(Administrator {
        id: row.id,
        name: row.name.map(|name| name.to_string()),
        role: row.role,
    })
}
