//! Users and service accounts of a tenant: listed, created, changed and removed.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::{Request, Response, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use super::directory::{
    ChangeRequest, MAX_BODY, active_keys, in_path, metadata, metadata_changes, name, refusal,
    with_metadata,
};
use super::keys::applied;
use super::{Admin, Auditing, By, Operating, body};
use gateway_base::errors::{ApiError, Invalid};
use gateway_base::request::{Holder, UserKind};
use gateway_path::http::json as document;
use gateway_store::ledger::{Listed, UserRow};

/// `GET /admin/v1/tenants/{name}/users`
pub(super) async fn list(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
    path: Path<String>,
) -> Result<Response<Body>, ApiError> {
    let tenant = in_path(&path, Holder::Tenant)?;
    let users = admin.ledger.users().of_tenant(&tenant).await;
    let users = users.map_err(refusal)?;
    let rows: Vec<Value> = users.iter().map(listed).collect();
    Ok(document(json!({ "users": rows }).to_string()))
}

fn listed(user: &Listed<UserRow>) -> Value {
    let mut value = row(&user.row);
    value["active_keys"] = json!(user.active_keys);
    value["revoked_keys"] = json!(user.revoked_keys);
    value
}

fn row(user: &UserRow) -> Value {
    let row = json!({
        "tenant": user.tenant.as_str(),
        "user": user.name.as_str(),
        "kind": user.kind.as_str(),
        "since": user.created_at.to_string(),
        "disabled_at": user.disabled_at.map(|at| at.to_string()),
    });
    with_metadata(row, &user.metadata)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateRequest {
    user: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default, deserialize_with = "body::nullable")]
    owner: Option<Option<String>>,
    #[serde(default, deserialize_with = "body::nullable")]
    cost_centre: Option<Option<String>>,
}

/// `POST /admin/v1/tenants/{name}/users` with `{"user", "kind"?, "owner"?, "cost_centre"?}`: 201.
pub(super) async fn create(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    path: Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let tenant = in_path(&path, Holder::Tenant)?;
    let (head, posted) = request.into_parts();
    let wanted: CreateRequest = body::read(&head.headers, posted, MAX_BODY).await?;
    let wrong = Invalid::WordMember {
        member: "kind",
        words: "\"user\" or \"service_account\"",
    };
    let kind = wanted.kind.as_deref();
    let user = UserRow {
        tenant,
        name: name(&wanted.user, "user")?,
        kind: kind.map_or(Ok(UserKind::User), |kind| {
            UserKind::parse(kind).ok_or(wrong)
        })?,
        metadata: metadata(metadata_changes(wanted.owner, wanted.cost_centre)?),
        created_at: admin.clock.now(),
        disabled_at: None,
    };
    let added = admin.ledger.users().add(&user).await;
    added.map_err(refusal)?;
    applied(&admin).await?;
    Ok(body::created(document(row(&user).to_string())))
}

/// `PATCH /admin/v1/tenants/{name}/users/{user}` with any of `{"owner", "cost_centre", "disabled"}`: 200 and the user as it
/// is now. The next request is checked against the change.
pub(super) async fn change(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    Path((tenant, user)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let tenant = in_path(&tenant, Holder::Tenant)?;
    let user = in_path(&user, Holder::User)?;
    let (head, posted) = request.into_parts();
    let wanted: ChangeRequest = body::read(&head.headers, posted, MAX_BODY).await?;
    let changes = wanted.changes()?;
    let users = admin.ledger.users();
    let changed = users
        .change((&tenant, &user), admin.clock.now(), changes)
        .await;
    let changed = changed.map_err(refusal)?;
    applied(&admin).await?;
    Ok(document(row(&changed).to_string()))
}

/// `DELETE /admin/v1/tenants/{name}/users/{user}`, which has no active key; with `?revoke_keys=true` its keys are revoked.
pub(super) async fn remove(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    Path((tenant, user)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response<Body>, ApiError> {
    let tenant = in_path(&tenant, Holder::Tenant)?;
    let user = in_path(&user, Holder::User)?;
    let keys = active_keys(&uri)?;
    let users = admin.ledger.users();
    let removed = users
        .remove((&tenant, &user), admin.clock.now(), keys)
        .await;
    let revoked = removed.map_err(refusal)?;
    applied(&admin).await?;
    let answer =
        json!({ "tenant": tenant.as_str(), "user": user.as_str(), "revoked_keys": revoked });
    Ok(document(answer.to_string()))
}
