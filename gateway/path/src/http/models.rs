//! `GET /v1/models` and `GET /v1/models/{id}`, for holders of an API key.

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
    state.admission.authenticate(&headers)?;
    Ok(json(connection.epoch.routes.models().to_string()))
}

pub(super) async fn one(
    state: State<Arc<PublicState>>,
    connection: Connection,
    id: Path<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    state.admission.authenticate(&headers)?;
    let model = connection
        .epoch
        .routes
        .model(&id)
        .ok_or(ApiError::ModelNotFound)?;
    Ok(json(model.to_string()))
}
