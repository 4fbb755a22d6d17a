//! Whether the authorization policy of a connection's epoch allows a request.

use attest_core::UnixTime;
use attest_core::retention::RetentionMode;
use gateway_authorization::{Denied, Permit, Request};
use gateway_base::request::Endpoint;
use gateway_contract::epoch::Epoch;
use gateway_upstream::route::Route;

use super::keyring::ActiveKey;

/// What is known of a request beside its caller.
pub(super) struct Purpose<'r> {
    pub route: &'r Route,
    pub endpoint: Endpoint,
    /// What is kept of it.
    pub retention: RetentionMode,
    /// Only verified upstreams may serve it.
    pub verification_required: bool,
    pub at: UnixTime,
}

pub(super) fn authorize(
    epoch: &Epoch,
    key: &ActiveKey,
    purpose: &Purpose<'_>,
) -> Result<Permit, Denied> {
    let route = purpose.route;
    let request = Request {
        organisation: key.caller.organisation.as_ref(),
        tenant: &key.caller.tenant,
        user: key.caller.user.as_ref(),
        key: &key.caller.key_id,
        roles: &key.roles,
        model: &route.model,
        endpoint: purpose.endpoint,
        retention: purpose.retention,
        at: purpose.at,
    };
    epoch.authorization.decide(&request, |place| {
        let candidate = route.candidates.get(place);
        candidate.is_some_and(|candidate| route.usable(candidate, purpose.verification_required))
    })
}
