//! Sealed records, for the key that made the request: fetched as they are, deleted if the policy allows that.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};

use super::{Connection, PublicState};
use gateway_base::errors::ApiError;
use gateway_retention::{DeletionResult, Part};

/// `GET /v1/sealgate/records/{id}/{part}`: an age file. As with receipts, the credential is compared with the one that made
/// the request; a revoked key can still read the sealed records of requests made with it.
pub(super) async fn fetch(
    state: State<Arc<PublicState>>,
    Path((id, part)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let epoch = state.rotation.current();
    let key = state.admission.digest(&epoch, &headers)?;
    let part = Part::parse(&part).ok_or(ApiError::RecordNotFound)?;
    let found = state.services.records.find(&id, &key, part).await;
    let sealed = found
        .map_err(|_| ApiError::Internal)?
        .ok_or(ApiError::RecordNotFound)?;
    let mut response = Response::new(Body::from(sealed));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `DELETE /v1/sealgate/records/{id}`. The response is empty. A revoked key cannot delete: it may have been stolen.
pub(super) async fn delete(
    state: State<Arc<PublicState>>,
    id: Path<String>,
    connection: Connection,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let epoch = &connection.epoch;
    state
        .admission
        .authenticate(epoch, &headers, connection.peer)?;
    let key = state.admission.digest(epoch, &headers)?;
    let deleted = state.services.records.delete_for_caller(&id, &key).await;
    match deleted.map_err(|_| ApiError::Internal)? {
        DeletionResult::Deleted => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        DeletionResult::NotFound => Err(ApiError::RecordNotFound),
        DeletionResult::NotAllowed => Err(ApiError::RecordNotDeletable),
    }
}
