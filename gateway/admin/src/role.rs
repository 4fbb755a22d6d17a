//! The three roles, each with all permissions of the one before it.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use subtle::ConstantTimeEq;

use super::credential::claimed_id;
use super::router::Admin;
use gateway_base::errors::ApiError;
use gateway_path::admit::{bearer, digest};
use gateway_path::http::Connection;
use gateway_store::ledger::Role;

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

/// An administrator whose key was checked, with at least the role that `N` needs. Only a request makes one.
pub(crate) struct By<N: Need> {
    /// The public part of the admin key.
    pub id: String,
    pub name: Option<String>,
    pub role: Role,
    need: PhantomData<N>,
}

impl<N: Need> FromRequestParts<Arc<Admin>> for By<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers)?;
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
        if let Some(connection) = parts.extensions.get::<Connection>() {
            // Also for a role that is not sufficient: the administrator is known, and the connection needs no more
            // protection from eviction by strangers.
            connection.authenticated()?;
        }
        if row.role < N::ROLE {
            return Err(ApiError::RoleNeeded {
                role: N::ROLE.as_str(),
            });
        }
        Ok(Self {
            id: row.id,
            name: row.name.map(|name| name.to_string()),
            role: row.role,
            need: PhantomData,
        })
    }
}
