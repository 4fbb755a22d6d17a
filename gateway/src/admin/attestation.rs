//! What clients see.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::Response;

use super::{Admin, By, Viewing};
use crate::attestation::Question;
use crate::errors::ApiError;
use crate::http::{Connection, json};

/// `GET /admin/v1/attestation`: the report as the public listener publishes it, unchallenged.
pub(super) async fn attestation(
    admin: State<Arc<Admin>>,
    _by: By<Viewing>,
    connection: Connection,
) -> Result<Response<Body>, ApiError> {
    let report = admin.desk.report(&connection.epoch, Question::default());
    Ok(json(report.await?))
}
