//! Sealed records, which an operator deletes when an entitled person asks for it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::Response;

use super::{Admin, By, Operating, body};
use gateway_base::errors::ApiError;
use gateway_retention::DeletionResult;

/// `DELETE /admin/v1/records/{receipt id}`: 204, whichever client made the request and whatever the policy permits clients. The
/// receipt stays.
pub(super) async fn delete(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    receipt_id: Path<String>,
) -> Result<Response<Body>, ApiError> {
    let deleted = admin.records.delete_for_operator(&receipt_id).await;
    match deleted.map_err(|_| ApiError::Internal)? {
        DeletionResult::Deleted => Ok(body::no_content()),
        DeletionResult::NotFound | DeletionResult::NotAllowed => Err(ApiError::RecordNotFound),
    }
}
