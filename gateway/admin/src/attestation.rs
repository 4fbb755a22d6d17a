//! The attestation report in the admin API: the one that clients get.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{Response, Uri};

use super::{Admin, By, Viewing};
use gateway_base::errors::ApiError;
use gateway_contract::attestation::{ReportRequest, Requester};
use gateway_path::http::{Connection, json};

/// `GET /admin/v1/attestation`: the report as the public listener publishes it, unchallenged.
pub(super) async fn attestation(
    admin: State<Arc<Admin>>,
    _by: By<Viewing>,
    connection: Connection,
) -> Result<Response<Body>, ApiError> {
    let request = ReportRequest::default();
    let requester = requester(&connection);
    let report = admin
        .report_queue
        .report(&connection.epoch, request, requester);
    Ok(json(report.await?))
}

/// `GET /v1/aci/attestation`: the report for a client's challenge, as on the public listener. It needs no key, because
/// administrators verify this address before they type an admin key.
pub(super) async fn challenged(
    admin: State<Arc<Admin>>,
    connection: Connection,
    uri: Uri,
) -> Result<Response<Body>, ApiError> {
    let request = ReportRequest::parse(uri.query())?;
    let requester = requester(&connection);
    let report = admin
        .report_queue
        .report(&connection.epoch, request, requester);
    Ok(json(report.await?))
}

/// Admin keys are not API keys: an administrator's request waits in the same queue as others from that address.
fn requester(connection: &Connection) -> Requester {
    Requester {
        address: connection.peer,
        key: None,
    }
}
