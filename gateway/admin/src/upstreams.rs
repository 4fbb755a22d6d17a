//! The enclaves behind this service, each with its last verdict.

use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use super::{By, Viewing};
use gateway_path::http::{Connection, json as document};
use gateway_upstream::channel::Enclave;

/// `GET /admin/v1/upstreams`
pub(super) async fn upstreams(_by: By<Viewing>, connection: Connection) -> Response<Body> {
    let routes = &connection.epoch.routes;
    let upstreams: Vec<Value> = routes
        .enclaves()
        .iter()
        .map(|enclave| rendered(enclave))
        .collect();
    document(json!({ "upstreams": upstreams }).to_string())
}

fn rendered(enclave: &Enclave) -> Value {
    let sessions: Vec<Value> = enclave
        .sessions()
        .iter()
        .map(|session| session.abbreviated_json())
        .collect();
    json!({
        "name": enclave.name().as_str(),
        "verified": !sessions.is_empty(),
        "sessions": sessions,
        "last_failure": enclave.last_failure().map(|why| why.reason()),
    })
}
