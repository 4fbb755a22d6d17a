//! The retention policy: the active one, what another would change, and activating a signed one.
//!
//! A change needs the operator's policy keys, which this process does not have: what is posted here is a policy that
//! was signed elsewhere, and is refused as `sealgate retention set` refuses it. A running service notices within
//! a second and begins a new epoch; this connection ends with the old one.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Auditing, By, Operating, body};
use attest_core::retention::{
    Authority, ChangeRefused, Difference, PolicySignatures, RetentionPolicy,
};
use gateway_base::config::{self, Config};
use gateway_base::errors::ApiError;
use gateway_path::http::{Connection, json as document};
use gateway_retention::{self as retention, HistoryError, Installed, Notice, Plan, history};
use gateway_store::ledger::PolicyRow;

/// As large as a policy file may be, twice.
const MAX_BODY: usize = 2 << 20;

/// `GET /admin/v1/retention`: every policy so far, the last of which is active, and the keys that may change it.
pub(super) async fn show(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
    connection: Connection,
) -> Result<Response<Body>, ApiError> {
    let rows = admin.ledger.policies().all().await;
    let rows = rows.map_err(|_| ApiError::Internal)?;
    let history: Vec<Value> = rows.iter().map(row).collect();
    let keys = match &connection.epoch.config.retention.authority {
        Authority::NoKeys => json!({ "threshold": null, "keys": [] }),
        Authority::Keys(keys) => json!({ "threshold": keys.threshold(), "keys": keys.to_hex() }),
    };
    let policy = connection.epoch.retention.policy();
    let answer = json!({
        "in_force": { "epoch": policy.epoch(), "digest": policy.digest().to_string(), "document": policy.published().text(), "opened": policy.stored_text() },
        "policy_keys": keys,
        "history": history,
    });
    Ok(document(answer.to_string()))
}

fn row(row: &PolicyRow) -> Value {
    let policy = RetentionPolicy::from_stored(&row.policy).ok();
    json!({
        "epoch": row.epoch,
        "digest": row.digest.to_string(),
        "most": policy.map(|policy| policy.most().as_str()),
        "set_at": row.set_at.to_string(),
        "signatures": row.signatures.lines().count(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proposed {
    /// The policy's TOML, or the document that `sealgate retention show --document` prints.
    policy: String,
    /// The lines of its signature file; none to see what would change before it is signed.
    #[serde(default)]
    signatures: String,
}

impl Proposed {
    fn read(&self) -> Result<(RetentionPolicy, PolicySignatures), ApiError> {
        let unreadable = |reason: String| ApiError::PolicyUnreadable { reason };
        let policy = config::read_policy(&self.policy).map_err(|error| {
            let reason = config::policy_problems(&error).join("; ");
            unreadable(format!("The policy cannot be read: {reason}"))
        })?;
        let signatures = PolicySignatures::parse(&self.signatures)
            .map_err(|error| unreadable(format!("The signatures cannot be read: {error}")))?;
        Ok((policy, signatures))
    }
}

/// `POST /admin/v1/retention/plan` with `{"policy", "signatures"?}`: exactly what would change, and for whom.
pub(super) async fn plan(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
    connection: Connection,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (head, posted) = request.into_parts();
    let proposed: Proposed = body::read(&head.headers, posted, MAX_BODY).await?;
    let (policy, signatures) = proposed.read()?;
    let config: &Config = &connection.epoch.config;
    let plan = retention::plan(&admin.ledger, config, policy, signatures).await;
    Ok(document(rendered(&plan.map_err(refused)?).to_string()))
}

fn rendered(plan: &Plan) -> Value {
    let named = |policy: &RetentionPolicy| json!({ "epoch": policy.epoch(), "digest": policy.digest().to_string(), "most": policy.most().as_str() });
    json!({
        "from": named(&plan.before),
        "to": named(&plan.proposed),
        "changes": plan.differences.iter().map(difference).collect::<Vec<_>>(),
        "notices": plan.notices.iter().map(Notice::to_string).collect::<Vec<_>>(),
        "can_be_set": plan.verdict.is_ok(),
        "why": plan.verdict.as_ref().map_or_else(
            |reason: &ChangeRefused| format!("cannot be set: {reason}"),
            |settable| settable.describe().to_owned(),
        ),
    })
}

fn difference(difference: &Difference) -> Value {
    json!({
        "tenant": difference.tenant,
        "model": difference.model,
        "now": difference.before.to_string(),
        "then": difference.after.to_string(),
        "changes": difference.changes(),
    })
}

/// `POST /admin/v1/retention` with `{"policy", "signatures"}`: activates it.
pub(super) async fn set(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    connection: Connection,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (head, posted) = request.into_parts();
    let proposed: Proposed = body::read(&head.headers, posted, MAX_BODY).await?;
    let (policy, signatures) = proposed.read()?;
    let (epoch, digest) = (policy.epoch(), policy.digest());
    let authority = &connection.epoch.config.retention.authority;
    let now = admin.clock.now();
    // Only stored here. The rotation polls the ledger and begins the epoch, as after `sealgate retention set`: one way
    // to activate a policy.
    let installed = history::install(&admin.ledger, authority, policy, signatures, now).await;
    let installed = match installed.map_err(refused)? {
        Installed::First => "first",
        Installed::Next => "next",
        Installed::NewSignatures => "signed_again",
    };
    let answer = json!({ "installed": installed, "epoch": epoch, "digest": digest.to_string() });
    Ok(document(answer.to_string()))
}

fn refused(error: HistoryError) -> ApiError {
    match error {
        HistoryError::Refused(_) | HistoryError::EpochTaken(_) => ApiError::PolicyRefused {
            reason: format!("The policy was not activated: {error}."),
        },
        _ => ApiError::Internal,
    }
}
