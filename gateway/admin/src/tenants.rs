//! Tenants: the names that API keys belong to. A tenant exists from its first key until all its keys are revoked.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::Response;
use serde_json::{Value, json};

use super::{Admin, Auditing, By, Operating};
use attest_core::UnixTime;
use gateway_base::errors::ApiError;
use gateway_base::request::Name;
use gateway_path::http::{Connection, json as document};
use gateway_store::ledger::KeyRow;

/// The keys of one tenant, counted.
struct Tenant {
    since: UnixTime,
    active: usize,
    revoked: usize,
}

/// `GET /admin/v1/tenants`: each with its keys, counted, and the most that is kept of its requests.
pub(super) async fn list(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
    connection: Connection,
) -> Result<Response<Body>, ApiError> {
    let keys = admin
        .ledger
        .keys()
        .all()
        .await
        .map_err(|_| ApiError::Internal)?;
    let policy = connection.epoch.retention.policy();
    let rows: Vec<Value> = counted(&keys)
        .into_iter()
        .map(|(name, tenant)| {
            json!({
                "tenant": name.as_str(),
                "since": tenant.since.to_string(),
                "active_keys": tenant.active,
                "revoked_keys": tenant.revoked,
                "retention": policy.most_for(name).as_str(),
            })
        })
        .collect();
    Ok(document(json!({ "tenants": rows }).to_string()))
}

fn counted(keys: &[KeyRow]) -> BTreeMap<&Name, Tenant> {
    let mut tenants = BTreeMap::new();
    for key in keys {
        let tenant = tenants.entry(&key.tenant).or_insert(Tenant {
            since: key.created_at,
            active: 0,
            revoked: 0,
        });
        tenant.since = tenant.since.min(key.created_at);
        match key.revoked_at {
            None => tenant.active += 1,
            Some(_) => tenant.revoked += 1,
        }
    }
    tenants
}

/// `DELETE /admin/v1/tenants/{name}`: revokes every key of a tenant. What is kept of its requests stays as long as the
/// policy says.
pub(super) async fn remove(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    name: Path<String>,
) -> Result<Response<Body>, ApiError> {
    let name = Name::from_operator(&name).map_err(|_| ApiError::TenantNotFound)?;
    let revoked = admin
        .ledger
        .keys()
        .remove_tenant(&name, admin.clock.now())
        .await;
    let revoked = revoked.map_err(|_| ApiError::Internal)?;
    admin
        .keyring
        .refresh()
        .await
        .map_err(|_| ApiError::Internal)?;
    match revoked {
        0 => Err(ApiError::TenantNotFound),
        revoked => {
            let answer = json!({ "tenant": name.as_str(), "revoked_keys": revoked });
            Ok(document(answer.to_string()))
        }
    }
}
