//! Tenants: listed, created, changed and removed. A tenant also begins with its first key.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::directory::{
    MAX_BODY, in_path, metadata, metadata_changes, name, names, nullable_name, refusal,
    with_metadata,
};
use super::keys::applied;
use super::{Admin, Auditing, By, Operating, body};
use gateway_base::errors::{ApiError, Invalid};
use gateway_base::request::{Holder, Label, LabelRules, Name};
use gateway_path::http::{Connection, json as document};
use gateway_store::ledger::{
    ActiveKeys, LabelChanges, Listed, NewTenant, TenantChanges, TenantRow,
};

/// `GET /admin/v1/tenants`: each with its keys and users, counted, and the most that is kept of its requests.
pub(super) async fn list(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
    connection: Connection,
) -> Result<Response<Body>, ApiError> {
    let all = admin.ledger.tenants().all().await;
    let all = all.map_err(|_| ApiError::Internal)?;
    let rows: Vec<Value> = all.iter().map(|one| listed(one, &connection)).collect();
    Ok(document(json!({ "tenants": rows }).to_string()))
}

fn listed(tenant: &Listed<TenantRow>, connection: &Connection) -> Value {
    let mut value = row(&tenant.row, connection);
    value["users"] = json!(tenant.members);
    value["active_keys"] = json!(tenant.active_keys);
    value["revoked_keys"] = json!(tenant.revoked_keys);
    value
}

fn row(tenant: &TenantRow, connection: &Connection) -> Value {
    let values = |label| -> Vec<&str> {
        let values = tenant.labels.values(label).iter();
        values.map(Name::as_str).collect()
    };
    let required: Vec<&str> = tenant.labels.required().map(Label::as_str).collect();
    let policy = connection.epoch.retention.policy();
    let row = json!({
        "tenant": tenant.name.as_str(),
        "organisation": tenant.organisation.as_deref(),
        "since": tenant.created_at.to_string(),
        "disabled_at": tenant.disabled_at.map(|at| at.to_string()),
        "removed_at": tenant.removed_at.map(|at| at.to_string()),
        "scenarios": values(Label::Scenario),
        "owners": values(Label::Owner),
        "required": required,
        "retention": policy.most_for(&tenant.name).as_str(),
    });
    with_metadata(row, &tenant.metadata)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateRequest {
    tenant: String,
    #[serde(default, deserialize_with = "body::nullable")]
    organisation: Option<Option<String>>,
    #[serde(default, deserialize_with = "body::nullable")]
    owner: Option<Option<String>>,
    #[serde(default, deserialize_with = "body::nullable")]
    cost_centre: Option<Option<String>>,
    #[serde(default)]
    scenarios: Option<Vec<String>>,
    #[serde(default)]
    owners: Option<Vec<String>>,
    #[serde(default)]
    required: Option<Vec<String>>,
}

/// `POST /admin/v1/tenants` with `{"tenant", "organisation"?, "owner"?, "cost_centre"?, "scenarios"?, "owners"?,
/// "required"?}`: 201.
pub(super) async fn create(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    connection: Connection,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (head, posted) = request.into_parts();
    let wanted: CreateRequest = body::read(&head.headers, posted, MAX_BODY).await?;
    let mut rules = LabelRules::default();
    let changes = labels(wanted.scenarios, wanted.owners, wanted.required)?;
    changes.apply(&mut rules).map_err(Invalid::LongList)?;
    let tenant = NewTenant {
        name: name(&wanted.tenant, "tenant")?,
        organisation: nullable_name(wanted.organisation, "organisation")?.flatten(),
        metadata: metadata(metadata_changes(wanted.owner, wanted.cost_centre)?),
        labels: rules,
        created_at: admin.clock.now(),
    };
    let added = admin.ledger.tenants().add(tenant).await;
    let added = added.map_err(refusal)?;
    applied(&admin).await?;
    Ok(body::created(document(
        row(&added, &connection).to_string(),
    )))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeRequest {
    #[serde(default, deserialize_with = "body::nullable")]
    organisation: Option<Option<String>>,
    #[serde(default, deserialize_with = "body::nullable")]
    owner: Option<Option<String>>,
    #[serde(default, deserialize_with = "body::nullable")]
    cost_centre: Option<Option<String>>,
    #[serde(default)]
    scenarios: Option<Vec<String>>,
    #[serde(default)]
    owners: Option<Vec<String>>,
    #[serde(default)]
    required: Option<Vec<String>>,
    #[serde(default)]
    disabled: Option<bool>,
}

/// `PATCH /admin/v1/tenants/{name}` with any of the members of its creation, and `disabled`: 200 and the tenant as it is
/// now. What is absent stays, and the next request is checked against the change.
pub(super) async fn change(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    connection: Connection,
    path: Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let name = in_path(&path, Holder::Tenant)?;
    let (head, posted) = request.into_parts();
    let wanted: ChangeRequest = body::read(&head.headers, posted, MAX_BODY).await?;
    let changes = TenantChanges {
        organisation: nullable_name(wanted.organisation, "organisation")?,
        metadata: metadata_changes(wanted.owner, wanted.cost_centre)?,
        labels: labels(wanted.scenarios, wanted.owners, wanted.required)?,
        disabled: wanted.disabled,
    };
    if changes == TenantChanges::default() {
        return Err(Invalid::NothingToChange.into());
    }
    let tenants = admin.ledger.tenants();
    let changed = tenants.change(&name, admin.clock.now(), changes).await;
    let changed = changed.map_err(refusal)?;
    applied(&admin).await?;
    Ok(document(row(&changed, &connection).to_string()))
}

fn labels(
    scenarios: Option<Vec<String>>,
    owners: Option<Vec<String>>,
    required: Option<Vec<String>>,
) -> Result<LabelChanges, ApiError> {
    let wrong = Invalid::WordMember {
        member: "required",
        words: "a list of \"scenario\" and \"owner\", or empty",
    };
    let parse = |words: Vec<String>| -> Result<Vec<Label>, Invalid> {
        let labels = words
            .iter()
            .map(|word| Label::parse(word).ok_or_else(|| wrong.clone()));
        labels.collect()
    };
    Ok(LabelChanges {
        scenarios: names(scenarios, "scenarios")?,
        owners: names(owners, "owners")?,
        required: required.map(parse).transpose()?,
    })
}

/// `DELETE /admin/v1/tenants/{name}`: removes a tenant with its users and revokes its keys. What is kept of its requests
/// stays as long as the policy says.
pub(super) async fn remove(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    path: Path<String>,
) -> Result<Response<Body>, ApiError> {
    let name = in_path(&path, Holder::Tenant)?;
    let tenants = admin.ledger.tenants();
    let removed = tenants
        .remove(&name, admin.clock.now(), ActiveKeys::Revoke)
        .await;
    let revoked = removed.map_err(refusal)?;
    applied(&admin).await?;
    let answer = json!({ "tenant": name.as_str(), "revoked_keys": revoked });
    Ok(document(answer.to_string()))
}
