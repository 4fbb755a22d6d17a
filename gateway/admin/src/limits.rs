//! Rate limits: shown with what they count now, set, changed and removed.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::{Request, Response};
use serde_json::{Map, Value, json};

use super::keys::applied;
use super::{Admin, Auditing, By, Operating, body};
use gateway_base::errors::{ApiError, Invalid};
use gateway_base::quota::{LimitError, WindowCounts, WrittenLimit};
use gateway_base::request::Name;
use gateway_path::http::json as document;
use gateway_quota::limits::LimitState;
use gateway_store::ledger::LimitRow;

const MAX_BODY: usize = 4 << 10;

/// `GET /admin/v1/limits`
pub(super) async fn list(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
) -> Result<Response<Body>, ApiError> {
    let limits: Vec<Value> = admin.keyring.limit_states().iter().map(row).collect();
    Ok(document(json!({ "limits": limits }).to_string()))
}

/// `GET /admin/v1/limits/{id}`
pub(super) async fn show(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
    id: Path<String>,
) -> Result<Response<Body>, ApiError> {
    let states = admin.keyring.limit_states();
    let state = states.iter().find(|state| state.id.as_str() == *id);
    let state = state.ok_or(ApiError::LimitNotFound)?;
    Ok(document(row(state).to_string()))
}

/// The definition, and under `used` what counts now.
fn row(state: &LimitState) -> Value {
    let mut used = Map::new();
    for (what, counts) in [("requests", state.requests), ("tokens", state.tokens)] {
        for (period, count) in WindowCounts::PERIODS.into_iter().zip(counts) {
            if let Some(count) = count {
                used.insert(format!("{what}_per_{period}"), count.into());
            }
        }
    }
    used.insert("concurrent".to_owned(), state.concurrent.into());
    let mut row = json!(state.limit.written());
    row["id"] = state.id.as_str().into();
    row["used"] = Value::Object(used);
    row["refused"] = state.refused.into();
    row
}

/// `PUT /admin/v1/limits/{id}` with the whole limit: 200 and the limit. It is set when the answer arrives; what the limit of
/// that id has counted so far still counts.
pub(super) async fn set(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    id: Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (head, body) = request.into_parts();
    let id = Name::from_operator(&id).map_err(|_| ApiError::Invalid(Invalid::NameMember("id")))?;
    let members: Map<String, Value> = body::read(&head.headers, body, MAX_BODY).await?;
    store(&admin, id, &members).await
}

/// `PATCH /admin/v1/limits/{id}` with members of a limit: what is absent stays, what is `null` is not limited any more.
/// Of two changes of one limit at the same time, the later may undo the earlier.
pub(super) async fn change(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    id: Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (head, body) = request.into_parts();
    let id = Name::from_operator(&id).map_err(|_| ApiError::LimitNotFound)?;
    let changes: Map<String, Value> = body::read(&head.headers, body, MAX_BODY).await?;
    if changes.is_empty() {
        return Err(ApiError::Invalid(Invalid::AdminBody));
    }
    let row = admin.ledger.limits().find(&id).await;
    let row = row.map_err(|_| ApiError::Internal)?;
    let row = row.ok_or(ApiError::LimitNotFound)?;
    let Value::Object(mut members) = json!(row.limit.written()) else {
        return Err(ApiError::Internal);
    };
    members.extend(changes);
    store(&admin, id, &members).await
}

async fn store(
    admin: &Admin,
    id: Name,
    members: &Map<String, Value>,
) -> Result<Response<Body>, ApiError> {
    let invalid = |error: LimitError| ApiError::Invalid(Invalid::Limit(error));
    let written = WrittenLimit::from_members(members).map_err(invalid)?;
    let row = LimitRow {
        id,
        limit: written.read().map_err(invalid)?,
        changed_at: admin.clock.now(),
    };
    let set = admin.ledger.limits().set(&row).await;
    set.map_err(|_| ApiError::Internal)?;
    applied(admin).await?;
    let mut answer = json!(row.limit.written());
    answer["id"] = row.id.as_str().into();
    Ok(document(answer.to_string()))
}

/// `DELETE /admin/v1/limits/{id}`: 204 once the limit does not apply any more.
pub(super) async fn remove(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    id: Path<String>,
) -> Result<Response<Body>, ApiError> {
    let id = Name::from_operator(&id).map_err(|_| ApiError::LimitNotFound)?;
    let removed = admin.ledger.limits().remove(&id, admin.clock.now()).await;
    if !removed.map_err(|_| ApiError::Internal)? {
        return Err(ApiError::LimitNotFound);
    }
    applied(&admin).await?;
    Ok(body::no_content())
}
