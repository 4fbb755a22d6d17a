//! Opens the client's own names in the published retention policy.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::PublicState;
use super::public::json as document;
use super::state::Connection;
use attest_core::retention::{NameOpening, RetentionPolicy};
use attest_core::to_hex;
use gateway_base::errors::ApiError;

/// `GET /v1/sealgate/retention/opening`: for the tenant of the API key or token and no other, under the policy of this
/// connection's epoch.
pub(super) async fn opening(
    state: State<Arc<PublicState>>,
    connection: Connection,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let key = state
        .admission
        .authenticate(&connection.epoch, &headers, connection.peer)?;
    let policy = connection.epoch.retention.policy();
    Ok(document(
        tenant_opening(policy, &key.caller().tenant).to_string(),
    ))
}

fn tenant_opening(policy: &RetentionPolicy, tenant: &str) -> Value {
    let opening = policy.tenant_opening(tenant);
    let salt = opening.as_ref().map(|opening| to_hex(&opening.tenant.salt));
    let commitment = opening
        .as_ref()
        .map(|opening| opening.tenant.commitment().digest().to_string());
    let recipients = opening.map_or(Vec::new(), |opening| opening.recipients);
    json!({
        "policy": policy.digest().to_string(),
        "format": policy.format().as_str(),
        "tenant": tenant,
        "named": policy.named_tenants().contains(tenant),
        "salt": salt,
        "commitment": commitment,
        "recipients": recipients.iter().map(recipient).collect::<Vec<_>>(),
    })
}

fn recipient(opening: &NameOpening) -> Value {
    json!({
        "recipient": opening.name,
        "salt": to_hex(&opening.salt),
        "commitment": opening.commitment().digest().to_string(),
    })
}
