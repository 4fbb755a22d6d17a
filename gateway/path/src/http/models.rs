//! `GET /v1/models` and `GET /v1/models/{id}`: the models that a caller may use.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderMap, Response};

use super::PublicState;
use super::public::json;
use super::state::Connection;
use gateway_base::errors::ApiError;

pub(super) async fn list(
    state: State<Arc<PublicState>>,
    connection: Connection,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let key = state
        .admission
        .authenticate(&connection.epoch, &headers, connection.peer)?;
    let models = connection.epoch.routes.models(|name, route| {
        let admission = &state.admission;
        admission.may_use(&connection.epoch, &key, name, route)
    });
    Ok(json(models.to_string()))
}

pub(super) async fn one(
    state: State<Arc<PublicState>>,
    connection: Connection,
    id: Path<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let key = state
        .admission
        .authenticate(&connection.epoch, &headers, connection.peer)?;
    let routes = &connection.epoch.routes;
    let model = routes.model(&id, |name, route| {
        let admission = &state.admission;
        admission.may_use(&connection.epoch, &key, name, route)
    });
    let model = model.ok_or(ApiError::ModelNotFound)?;
    Ok(json(model.to_string()))
}
