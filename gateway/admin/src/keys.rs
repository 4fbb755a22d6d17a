//! API keys: listed, created and revoked.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Auditing, By, Operating, body};
use gateway_base::errors::{ApiError, Invalid};
use gateway_base::request::Name;
use gateway_path::admit::ApiToken;
use gateway_path::http::json as document;
use gateway_store::ledger::{KeyRow, NewKey};

/// Larger than two names can be.
const MAX_BODY: usize = 4 << 10;

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

fn row(key: &KeyRow) -> Value {
    json!({
        "id": key.id,
        "tenant": key.tenant.as_str(),
        "name": key.name.as_ref().map(Name::as_str),
        "created_at": key.created_at.to_string(),
        "revoked_at": key.revoked_at.map(|at| at.to_string()),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateRequest {
    tenant: String,
    #[serde(default)]
    name: Option<String>,
}

/// `POST /admin/v1/keys` with `{"tenant", "name"?}`: 201 and the key, which is shown only here and already works.
pub(super) async fn create(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (head, body) = request.into_parts();
    let CreateRequest { tenant, name } = body::read(&head.headers, body, MAX_BODY).await?;
    let named = |text: &str, member| {
        Name::from_operator(text).map_err(|_| ApiError::Invalid(Invalid::NameMember(member)))
    };
    let tenant = named(&tenant, "tenant")?;
    let name = name.map(|name| named(&name, "name")).transpose()?;
    let (id, token) = ApiToken::generate().map_err(|_| ApiError::Internal)?;
    let key = NewKey {
        id: id.to_string(),
        tenant,
        name,
        digest: token.digest(),
        created_at: admin.clock.now(),
    };
    admin
        .ledger
        .keys()
        .add(&key)
        .await
        .map_err(|_| ApiError::Internal)?;
    admin
        .keyring
        // Before the answer: the key works on the first request that its owner makes with it.
        .refresh()
        .await
        .map_err(|_| ApiError::Internal)?;
    let answer = json!({ "id": key.id, "tenant": key.tenant.as_str(), "key": token.expose() });
    let mut response = document(answer.to_string());
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
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
    admin
        .keyring
        // Before the answer, so that no request with the key is admitted after it.
        .refresh()
        .await
        .map_err(|_| ApiError::Internal)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
