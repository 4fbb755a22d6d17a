//! API keys: listed, created, changed, rotated and revoked.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::directory::{name, nullable_name, refusal};
use super::{Admin, Auditing, By, Operating, body};
use attest_core::UnixTime;
use gateway_base::config::{parse_expiry, parse_overlap};
use gateway_base::errors::{ApiError, Invalid};
use gateway_base::request::{Name, RestrictionChanges, Restrictions, WrittenRestrictions};
use gateway_path::admit::ApiToken;
use gateway_path::http::json as document;
use gateway_store::ledger::{KeyChanges, KeyRow, NewKey, Replacement};

/// Larger than restrictions can be: three lists of 64 entries.
const MAX_BODY: usize = 32 << 10;

/// `GET /admin/v1/keys`
pub(super) async fn list(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
) -> Result<Response<Body>, ApiError> {
    let keys = admin
        .ledger
        .keys()
        .all()
        .await
        .map_err(|_| ApiError::Internal)?;
    let keys: Vec<Value> = keys.iter().map(row).collect();
    Ok(document(json!({ "keys": keys }).to_string()))
}

/// A key as it is shown: everything but its digest.
fn row(key: &KeyRow) -> Value {
    let written = key.restrictions.written();
    json!({
        "id": key.id,
        "tenant": key.tenant.as_str(),
        "user": key.user.as_ref().map(Name::as_str),
        "name": key.name.as_ref().map(Name::as_str),
        "created_at": key.created_at.to_string(),
        "expires_at": key.expires_at.map(|at| at.to_string()),
        "blocked_at": key.blocked_at.map(|at| at.to_string()),
        "revoked_at": key.revoked_at.map(|at| at.to_string()),
        "replaces": key.replaces,
        "models": written.models,
        "endpoints": written.endpoints,
        "networks": written.networks,
        "verified_only": written.verified_only,
        "retention": written.retention,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateRequest {
    tenant: String,
    /// A user or service account of the tenant.
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    name: Option<String>,
    /// A time, a duration from now, or `never`.
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    restrictions: WrittenRestrictions,
}

/// `POST /admin/v1/keys` with `{"tenant", "user"?, "name"?, "expires_at"?, "restrictions"?}`: 201 and the key, which is
/// shown only here and already works.
pub(super) async fn create(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (head, body) = request.into_parts();
    let wanted: CreateRequest = body::read(&head.headers, body, MAX_BODY).await?;
    let now = admin.clock.now();
    let mut restrictions = Restrictions::default();
    changes(&wanted.restrictions)?.apply(&mut restrictions);
    let tenant = name(&wanted.tenant, "tenant")?;
    let user = wanted.user.map(|text| name(&text, "user")).transpose()?;
    let name = wanted.name.map(|text| name(&text, "name")).transpose()?;
    let expires_at = expiry(wanted.expires_at.as_deref(), now)?.flatten();
    let (id, token) = ApiToken::generate().map_err(|_| ApiError::Internal)?;
    let key = NewKey {
        id: id.to_string(),
        tenant,
        user,
        name,
        digest: token.digest(),
        created_at: now,
        expires_at,
        restrictions,
    };
    let added = admin.ledger.keys().add(key).await;
    let added = added.map_err(refusal)?;
    applied(&admin).await?;
    Ok(created(&added, &token))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeRequest {
    #[serde(default)]
    name: Option<String>,
    /// `null`: none.
    #[serde(default, deserialize_with = "body::nullable")]
    user: Option<Option<String>>,
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    blocked: Option<bool>,
    #[serde(default)]
    restrictions: WrittenRestrictions,
}

/// `PATCH /admin/v1/keys/{id}` with any of `{"name", "user", "expires_at", "blocked", "restrictions"}`: 200 and the key as it is
/// now. What is absent stays, and the next request is checked against the change.
pub(super) async fn change(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    id: Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (head, body) = request.into_parts();
    let wanted: ChangeRequest = body::read(&head.headers, body, MAX_BODY).await?;
    let now = admin.clock.now();
    let changes = KeyChanges {
        name: wanted.name.map(|text| name(&text, "name")).transpose()?,
        user: nullable_name(wanted.user, "user")?,
        expires_at: expiry(wanted.expires_at.as_deref(), now)?,
        blocked: wanted.blocked,
        restrictions: changes(&wanted.restrictions)?,
    };
    if changes == KeyChanges::default() {
        return Err(ApiError::Invalid(Invalid::AdminBody));
    }
    let changed = admin.ledger.keys().change(&id, now, changes).await;
    let key = changed.map_err(refusal)?.ok_or(ApiError::KeyNotFound)?;
    applied(&admin).await?;
    Ok(document(row(&key).to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateRequest {
    /// How long the replaced key stays valid.
    overlap: String,
    /// When the new key expires.
    #[serde(default)]
    expires_at: Option<String>,
}

/// `POST /admin/v1/keys/{id}/rotate` with `{"overlap", "expires_at"?}`: 201 and a new key with the same tenant, name and
/// restrictions. The replaced key expires when the overlap is over.
pub(super) async fn rotate(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    id: Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (head, body) = request.into_parts();
    let wanted: RotateRequest = body::read(&head.headers, body, MAX_BODY).await?;
    let now = admin.clock.now();
    let overlap = parse_overlap(&wanted.overlap);
    let overlap = overlap.map_err(|_| ApiError::Invalid(Invalid::TimeMember("overlap")))?;
    let (new_id, token) = ApiToken::generate().map_err(|_| ApiError::Internal)?;
    let replacement = Replacement {
        id: new_id.to_string(),
        digest: token.digest(),
        created_at: now,
        expires_at: expiry(wanted.expires_at.as_deref(), now)?.flatten(),
    };
    let rotated = admin
        .ledger
        .keys()
        .rotate(&id, replacement, now.plus(overlap))
        .await;
    let key = rotated
        .map_err(|_| ApiError::Internal)?
        .ok_or(ApiError::KeyNotFound)?;
    applied(&admin).await?;
    Ok(created(&key, &token))
}

/// `None` if it was not given, `Some(None)` for a key that does not expire.
fn expiry(text: Option<&str>, now: UnixTime) -> Result<Option<Option<UnixTime>>, ApiError> {
    text.map(|text| parse_expiry(text, now))
        .transpose()
        .map_err(|_| ApiError::Invalid(Invalid::TimeMember("expires_at")))
}

fn changes(written: &WrittenRestrictions) -> Result<RestrictionChanges, ApiError> {
    written
        .read()
        .map_err(|error| ApiError::Invalid(Invalid::Restrictions(error)))
}

/// Before the answer: the service checks the next request against what the answer says.
pub(super) async fn applied(admin: &Admin) -> Result<(), ApiError> {
    let refreshed = admin.keyring.refresh().await;
    refreshed.map_err(|_| ApiError::Internal)
}

/// 201 and the new key.
fn created(key: &KeyRow, token: &ApiToken) -> Response<Body> {
    let answer = json!({
        "id": key.id,
        "tenant": key.tenant.as_str(),
        "user": key.user.as_ref().map(Name::as_str),
        "expires_at": key.expires_at.map(|at| at.to_string()),
        "key": token.expose(),
    });
    body::created(document(answer.to_string()))
}

/// `DELETE /admin/v1/keys/{id}`: 204 once the service refuses the key.
pub(super) async fn revoke(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    id: Path<String>,
) -> Result<Response<Body>, ApiError> {
    let revoked = admin.ledger.keys().revoke(&id, admin.clock.now()).await;
    if !revoked.map_err(|_| ApiError::Internal)? {
        return Err(ApiError::KeyNotFound);
    }
    applied(&admin).await?;
    Ok(body::no_content())
}
