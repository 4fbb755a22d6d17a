//! What clients see.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{Response, Uri};

use super::{Admin, By, Viewing};
use gateway_base::errors::ApiError;
use gateway_contract::attestation::{Question, Requester};
use gateway_path::http::{Connection, json};

/// `GET /admin/v1/attestation`: the report as the public listener publishes it, unchallenged.
pub(super) async fn attestation(
    admin: State<Arc<Admin>>,
    _by: By<Viewing>,
    connection: Connection,
) -> Result<Response<Body>, ApiError> {
    let question = Question::default();
    let requester = requester(&connection);
    let report = admin.desk.report(&connection.epoch, question, requester);
    Ok(json(report.await?))
}

/// `GET /v1/aci/attestation`: the report to anybody's challenge, as on the public listener. Whoever is about to type an
/// admin key verifies this very address first, and has no key to show for that yet.
pub(super) async fn challenged(
    admin: State<Arc<Admin>>,
    connection: Connection,
    uri: Uri,
) -> Result<Response<Body>, ApiError> {
    let question = Question::parse(uri.query())?;
    let requester = requester(&connection);
    let report = admin.desk.report(&connection.epoch, question, requester);
    Ok(json(report.await?))
}

/// Admin keys are no API keys: an administrator waits where the address's other requests do.
fn requester(connection: &Connection) -> Requester {
    Requester {
        address: connection.peer,
        key: None,
    }
}
