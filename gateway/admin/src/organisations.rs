//! Organisations: listed, created, changed and removed.

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
use gateway_base::errors::ApiError;
use gateway_base::request::Holder;
use gateway_path::http::json as document;
use gateway_store::ledger::{Listed, OrganisationRow};

/// `GET /admin/v1/organisations`
pub(super) async fn list(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
) -> Result<Response<Body>, ApiError> {
    let all = admin.ledger.organisations().all().await;
    let all = all.map_err(|_| ApiError::Internal)?;
    let rows: Vec<Value> = all.iter().map(listed).collect();
    Ok(document(json!({ "organisations": rows }).to_string()))
}

fn listed(organisation: &Listed<OrganisationRow>) -> Value {
    let mut value = row(&organisation.row);
    value["tenants"] = json!(organisation.members);
    value["active_keys"] = json!(organisation.active_keys);
    value["revoked_keys"] = json!(organisation.revoked_keys);
    value
}

fn row(organisation: &OrganisationRow) -> Value {
    let row = json!({
        "organisation": organisation.name.as_str(),
        "since": organisation.created_at.to_string(),
        "disabled_at": organisation.disabled_at.map(|at| at.to_string()),
    });
    with_metadata(row, &organisation.metadata)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateRequest {
    organisation: String,
    #[serde(default, deserialize_with = "body::nullable")]
    owner: Option<Option<String>>,
    #[serde(default, deserialize_with = "body::nullable")]
    cost_centre: Option<Option<String>>,
}

/// `POST /admin/v1/organisations` with `{"organisation", "owner"?, "cost_centre"?}`: 201.
pub(super) async fn create(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (head, posted) = request.into_parts();
    let wanted: CreateRequest = body::read(&head.headers, posted, MAX_BODY).await?;
    let organisation = OrganisationRow {
        name: name(&wanted.organisation, "organisation")?,
        metadata: metadata(metadata_changes(wanted.owner, wanted.cost_centre)?),
        created_at: admin.clock.now(),
        disabled_at: None,
    };
    let added = admin.ledger.organisations().add(&organisation).await;
    added.map_err(refusal)?;
    applied(&admin).await?;
    Ok(body::created(document(row(&organisation).to_string())))
}

/// `PATCH /admin/v1/organisations/{name}` with any of `{"owner", "cost_centre", "disabled"}`: 200 and the organisation as
/// it is now. The next request is checked against the change.
pub(super) async fn change(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    path: Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let name = in_path(&path, Holder::Organisation)?;
    let (head, posted) = request.into_parts();
    let wanted: ChangeRequest = body::read(&head.headers, posted, MAX_BODY).await?;
    let changes = wanted.changes()?;
    let organisations = admin.ledger.organisations();
    let changed = organisations
        .change(&name, admin.clock.now(), changes)
        .await;
    let changed = changed.map_err(refusal)?;
    applied(&admin).await?;
    Ok(document(row(&changed).to_string()))
}

/// `DELETE /admin/v1/organisations/{name}`, which has no tenants; with `?revoke_keys=true` its tenants are removed, too.
pub(super) async fn remove(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    path: Path<String>,
    uri: Uri,
) -> Result<Response<Body>, ApiError> {
    let name = in_path(&path, Holder::Organisation)?;
    let keys = active_keys(&uri)?;
    let organisations = admin.ledger.organisations();
    let removed = organisations.remove(&name, admin.clock.now(), keys).await;
    let revoked = removed.map_err(refusal)?;
    applied(&admin).await?;
    let answer = json!({ "organisation": name.as_str(), "revoked_keys": revoked });
    Ok(document(answer.to_string()))
}
