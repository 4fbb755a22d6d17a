//! All routes of the public API and of the health listener.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, delete, get};

use super::routes::{Methods, Routes, only};
use super::{PublicState, aci, log, models, public, records, retention};
use gateway_base::request::Endpoint;

const HEALTHZ: &str = "/healthz";
const READYZ: &str = "/readyz";

/// Whether the path is one of the health listener's.
pub(crate) fn is_health(path: &str) -> bool {
    [HEALTHZ, READYZ].contains(&path)
}

/// All routes. Other paths, and other methods on these, get an error in OpenAI's shape.
pub fn router(state: Arc<PublicState>) -> Router {
    routes().into_router(state)
}

/// All routes as `METHOD PATH`, including those of the health listener.
pub fn paths() -> Vec<String> {
    routes().list()
}

fn routes() -> Routes<PublicState> {
    health_routes()
        .route(Endpoint::Chat.path(), inference_only())
        .route(Endpoint::Completions.path(), inference_only())
        .route(Endpoint::Embeddings.path(), inference_only())
        .route("/v1/models", only_get(get(models::list)))
        .route("/v1/models/{*id}", only_get(get(models::one)))
        .route("/v1/aci/attestation", only_get(get(aci::attestation)))
        .route("/v1/aci/receipts/{id}", only_get(get(aci::receipt)))
        .route(
            "/v1/aci/receipts/{id}/proof",
            only_get(get(log::receipt_proof)),
        )
        .route("/v1/aci/log/checkpoint", only_get(get(log::checkpoint)))
        .route("/v1/aci/log/consistency", only_get(get(log::consistency)))
        .route("/v1/aci/log/tile/{*path}", only_get(get(log::tile)))
        .route("/v1/aci/sessions", only_get(get(aci::sessions)))
        .route("/v1/aci/sessions/{id}", only_get(get(aci::session)))
        .route(
            "/v1/sealgate/records/{id}",
            only("DELETE", delete(records::delete)),
        )
        .route(
            "/v1/sealgate/records/{id}/{part}",
            only_get(get(records::fetch)),
        )
        .route(
            "/v1/sealgate/retention/opening",
            only_get(get(retention::opening)),
        )
}

/// The routes of the health listener, with the same answers as in the public API.
pub fn health_router(state: Arc<PublicState>) -> Router {
    health_routes().into_router(state)
}

fn health_routes() -> Routes<PublicState> {
    Routes::default()
        .route(HEALTHZ, only_get(get(public::healthz)))
        .route(READYZ, only_get(get(public::readyz)))
}

/// `POST` on these paths does not reach the router, see [`inference`](super::inference).
fn inference_only() -> Methods<PublicState> {
    only("POST", MethodRouter::new())
}

fn only_get(route: MethodRouter<Arc<PublicState>>) -> Methods<PublicState> {
    only("GET, HEAD", route)
}
