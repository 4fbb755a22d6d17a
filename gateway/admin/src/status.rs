//! The active epoch, and the administrator that asks.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::Response;
use serde_json::json;

use super::{Admin, By, Viewing};
use gateway_path::http::{Connection, json as document};

/// `GET /admin/v1/whoami`
pub(super) async fn whoami(by: By<Viewing>) -> Response<Body> {
    document(json!({ "id": by.id, "name": by.name, "role": by.role.as_str() }).to_string())
}

/// `GET /admin/v1/status`: the epoch of this connection.
pub(super) async fn status(
    admin: State<Arc<Admin>>,
    _by: By<Viewing>,
    connection: Connection,
) -> Response<Body> {
    let epoch = &connection.epoch;
    let policy = epoch.retention.policy();
    let (waiting, oldest) = admin.ledger.rows_waiting();
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now": admin.clock.now().to_string(),
        "mode": epoch.config.server.mode.name(),
        "tee": epoch.config.tee.kind.as_str(),
        "rows_lost": admin.ledger.rows_lost(),
        "rows_waiting": waiting,
        "oldest_row_age_s": oldest.as_secs(),
        "ledger_failing": admin.ledger.is_failing(),
        "epoch": {
            "number": epoch.number,
            "keyset_digest": epoch.keyset_digest.to_string(),
            "subject": epoch.keyset.subject,
            "spki_sha256": epoch.spki.to_string(),
            "config_digest": epoch.config_digest.to_string(),
            "renew_at": epoch.renew_at().to_string(),
            "not_after": epoch.not_after().to_string(),
        },
        "retention": {
            "most": policy.most().as_str(),
            "epoch": policy.epoch(),
            "digest": policy.digest().to_string(),
            "signers": epoch.retention.signers().len(),
            "document": policy.published().text(),
        },
    });
    document(status.to_string())
}
