//! Every path of the admin listener.

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, patch, post};

use super::{
    attestation, budgets, clock, console, export, keys, limits, log, organisations, records,
    retention, sessions, status, tenants, upstreams, usage, users,
};
use attest_channel::Clock;
use gateway_contract::attestation::ReportQueue;
use gateway_path::admit::Keyring;
use gateway_path::http::{Routes, only};
use gateway_retention::Records;
use gateway_store::ledger::Ledger;

/// What the handlers use.
pub struct Admin {
    pub ledger: Arc<Ledger>,
    pub keyring: Arc<Keyring>,
    pub records: Records,
    pub report_queue: Arc<ReportQueue>,
    pub clock: Arc<dyn Clock>,
}

/// Other paths, and other methods on these, get an error in OpenAI's shape.
pub fn router(admin: Arc<Admin>) -> Router {
    routes().into_router(admin)
}

/// Every path, as `METHOD PATH`.
pub fn paths() -> Vec<String> {
    routes().list()
}

fn routes() -> Routes<Admin> {
    Routes::default()
        .route("/", only("GET, HEAD", get(console::page)))
        .route("/console.css", only("GET, HEAD", get(console::style)))
        .route("/console.js", only("GET, HEAD", get(console::script)))
        .route(
            "/v1/aci/attestation",
            only("GET, HEAD", get(attestation::challenged)),
        )
        .route("/admin/v1/whoami", only("GET, HEAD", get(status::whoami)))
        .route("/admin/v1/status", only("GET, HEAD", get(status::status)))
        .route(
            "/admin/v1/attestation",
            only("GET, HEAD", get(attestation::attestation)),
        )
        .route(
            "/admin/v1/upstreams",
            only("GET, HEAD", get(upstreams::upstreams)),
        )
        .route(
            "/admin/v1/retention",
            only("GET, HEAD, POST", get(retention::show).post(retention::set)),
        )
        .route(
            "/admin/v1/retention/plan",
            only("POST", post(retention::plan)),
        )
        .route(
            "/admin/v1/retention/clock",
            only("GET, HEAD, POST", get(clock::show).post(clock::accept)),
        )
        .route(
            "/admin/v1/records/{id}",
            only("DELETE", delete(records::delete)),
        )
        .route("/admin/v1/log", only("GET, HEAD", get(log::entries)))
        .route(
            "/admin/v1/log/receipts/{index}",
            only("GET, HEAD", get(log::receipts)),
        )
        .route(
            "/admin/v1/log/export",
            only("GET, HEAD", get(export::export)),
        )
        .route("/admin/v1/sessions", only("GET, HEAD", get(sessions::list)))
        .route(
            "/admin/v1/sessions/{id}",
            only("GET, HEAD", get(sessions::session)),
        )
        .route(
            "/admin/v1/organisations",
            only(
                "GET, HEAD, POST",
                get(organisations::list).post(organisations::create),
            ),
        )
        .route(
            "/admin/v1/organisations/{name}",
            only(
                "PATCH, DELETE",
                patch(organisations::change).delete(organisations::remove),
            ),
        )
        .route(
            "/admin/v1/tenants",
            only("GET, HEAD, POST", get(tenants::list).post(tenants::create)),
        )
        .route(
            "/admin/v1/tenants/{name}",
            only(
                "PATCH, DELETE",
                patch(tenants::change).delete(tenants::remove),
            ),
        )
        .route(
            "/admin/v1/tenants/{name}/users",
            only("GET, HEAD, POST", get(users::list).post(users::create)),
        )
        .route(
            "/admin/v1/tenants/{name}/users/{user}",
            only("PATCH, DELETE", patch(users::change).delete(users::remove)),
        )
        .route("/admin/v1/usage", only("GET, HEAD", get(usage::usage)))
        .route(
            "/admin/v1/budgets",
            only("GET, HEAD, POST", get(budgets::list).post(budgets::create)),
        )
        .route(
            "/admin/v1/budgets/{id}",
            only(
                "PATCH, DELETE",
                patch(budgets::change).delete(budgets::remove),
            ),
        )
        .route(
            "/admin/v1/credits",
            only(
                "GET, HEAD, POST",
                get(budgets::list_credits).post(budgets::grant),
            ),
        )
        .route(
            "/admin/v1/keys",
            only("GET, HEAD, POST", get(keys::list).post(keys::create)),
        )
        .route(
            "/admin/v1/keys/{id}",
            only("PATCH, DELETE", patch(keys::change).delete(keys::revoke)),
        )
        .route("/admin/v1/limits", only("GET, HEAD", get(limits::list)))
        .route(
            "/admin/v1/limits/{id}",
            only(
                "GET, HEAD, PUT, PATCH, DELETE",
                get(limits::show)
                    .put(limits::set)
                    .patch(limits::change)
                    .delete(limits::remove),
            ),
        )
        .route(
            "/admin/v1/keys/{id}/rotate",
            only("POST", post(keys::rotate)),
        )
}
