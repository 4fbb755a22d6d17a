//! Liveness, readiness, and JSON responses.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::PublicState;

/// The process is alive.
pub(super) async fn healthz() -> Response<Body> {
    text(StatusCode::OK, "ok\n")
}

/// The process can serve: the active epoch has not expired, and both databases accept writes. If not, the response names
/// the cause.
pub(super) async fn readyz(state: State<Arc<PublicState>>) -> Response<Body> {
    let cause = if !state.rotation.is_ready() {
        serde_json::json!({ "ready": false, "cause": "epoch" })
    } else if let Some(failing) = state.ledger.unready_database() {
        serde_json::json!({
            "ready": false,
            "cause": failing.database.as_str(),
            "failure": failing.failure.map(|failure| failure.cause.as_str()),
            "seconds": failing.since.as_secs(),
        })
    } else {
        return text(StatusCode::OK, "ready\n");
    };
    let mut response = json(cause.to_string());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

fn text(status: StatusCode, words: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(words));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// A JSON document as a response that no cache may store.
pub fn json(document: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(document.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
