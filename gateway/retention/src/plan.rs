//! A plan: the effects of another policy, and whether it could be set. Changes nothing.

use attest_core::retention::{
    ActivePolicy, ChangeRefused, Difference, PolicySignatures, RetentionPolicy, compare,
};

use super::history::{self, HistoryError};
use super::notice::Notice;
use gateway_base::config::{Config, built_in};
use gateway_store::ledger::Ledger;

/// A planned change.
pub struct Plan {
    /// The active policy; where there is none yet, the one that a service would begin with.
    pub before: RetentionPolicy,
    pub proposed: RetentionPolicy,
    /// Every difference, by tenant and model.
    pub differences: Vec<Difference>,
    /// Notices, which are no reason to refuse it.
    pub notices: Vec<Notice>,
    pub verdict: Result<Settable, ChangeRefused>,
}

/// How a policy can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settable {
    First,
    Next,
    /// It is active already; only its signatures would be new.
    NewSignatures,
}

impl Settable {
    pub fn describe(self) -> &'static str {
        match self {
            Settable::First => "can be set, as the first",
            Settable::Next => "can be set",
            Settable::NewSignatures => "is active already; it would get new signatures",
        }
    }
}

/// Compares `proposed` with the active policy, for the tenants that hold keys and the models that are configured.
pub async fn plan(
    ledger: &Ledger,
    config: &Config,
    proposed: RetentionPolicy,
    signatures: PolicySignatures,
) -> Result<Plan, HistoryError> {
    let active_policy = history::latest(ledger).await?;
    let keys = ledger.keys().all().await?;
    let authority = &config.retention.authority;
    let (before, verdict) = match &active_policy {
        Some(head) if head.policy().digest() == proposed.digest() => {
            let again = head.signed_again(&signatures, authority);
            (
                head.policy().clone(),
                again.map(|_| Settable::NewSignatures),
            )
        }
        Some(head) => {
            let next = head.succeeded_by(proposed.clone(), signatures, authority);
            (head.policy().clone(), next.map(|_| Settable::Next))
        }
        None => {
            let first = ActivePolicy::first(proposed.clone(), signatures, authority);
            let named = config.retention.policy.as_ref();
            let begun = named.map(|named| named.policy.clone());
            (
                begun.unwrap_or_else(built_in),
                first.map(|_| Settable::First),
            )
        }
    };
    let active = keys.iter().filter(|key| key.revoked_at.is_none());
    let mut tenants: Vec<String> = active.map(|key| key.tenant.to_string()).collect();
    tenants.sort();
    tenants.dedup();
    let models = config.models.iter().map(|model| model.id.to_string());
    let models: Vec<String> = models.collect();
    Ok(Plan {
        notices: Notice::about_change(&before, &proposed),
        differences: compare(&before, &proposed, &tenants, &models),
        before,
        proposed,
        verdict,
    })
}
