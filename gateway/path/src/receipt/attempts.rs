//! What happened on the way to an upstream, as events of the receipt.

use serde_json::json;

use super::Interruption;
use attest_core::{Event, OtherEvent, SessionId, Sha256Digest};
use gateway_authorization::Effect;
use gateway_base::metering::Cause;
use gateway_base::request::Name;

/// The authorization policy, and the rule of it that decided about the request.
const AUTHORIZED: &str = "sealgate.authorization.applied";
/// An upstream that was tried before the one that the request was sent to.
const PASSED_OVER: &str = "sealgate.upstream.passed_over";
/// Members of the request that were changed before it was forwarded.
const REWRITTEN: &str = "sealgate.request.rewritten";
/// The upstream refused our request for usage, and the request was sent again without it.
const REPEATED: &str = "sealgate.request.repeated";
/// The upstream failed, or its response had a fault; the cause is one of a closed set.
const UPSTREAM_FAILED: &str = "sealgate.upstream.failed";
/// Something that the policy requires could not be kept.
const RETENTION_FAILED: &str = "sealgate.retention.failed";
/// The response is incomplete.
const INCOMPLETE: &str = "sealgate.response.incomplete";

/// The upstreams that were tried.
#[derive(Default)]
pub(super) struct Attempts {
    authorization: Option<Event>,
    /// Upstreams passed over, and requests repeated.
    earlier: Vec<Event>,
    verification: Option<Event>,
    upstream: Option<Name>,
    forwarded: Option<Sha256Digest>,
    rewritten: Vec<&'static str>,
    pub cause: Option<Cause>,
}

impl Attempts {
    pub fn authorized(&mut self, policy: Sha256Digest, effect: Effect, code: &Name) {
        self.authorization = own_event(json!({
            "type": AUTHORIZED,
            "policy": policy.to_string(),
            "decision": effect.as_str(),
            "code": code.as_str(),
        }));
    }

    pub fn passed_over(&mut self, upstream: &Name, reason: &str) {
        let event =
            json!({ "type": PASSED_OVER, "upstream_name": upstream.as_str(), "reason": reason });
        self.earlier.extend(own_event(event));
    }

    pub fn verified(&mut self, required: bool, upstream_model: &Name, session_id: SessionId) {
        self.verification = Some(Event::UpstreamVerified {
            required,
            model_id: upstream_model.to_string(),
            session_id,
        });
    }

    pub fn unverified(
        &mut self,
        required: bool,
        upstream_model: &str,
        reason: &str,
        upstream: Option<&Name>,
    ) {
        self.verification = Some(Event::UpstreamFailed {
            required,
            model_id: upstream_model.to_owned(),
            reason: reason.to_owned(),
            upstream_name: upstream.map(ToString::to_string),
        });
    }

    pub fn forwarded(&mut self, upstream: &Name, body: Sha256Digest, changed: &[&'static str]) {
        self.upstream = Some(upstream.clone());
        self.forwarded = Some(body);
        self.rewritten = changed.to_vec();
    }

    pub fn not_forwarded(&mut self) {
        self.forwarded = None;
    }

    pub fn repeated(&mut self, upstream: &Name, reason: &'static str) {
        let Some(forwarded) = self.forwarded else {
            return;
        };
        let event = json!({
            "type": REPEATED,
            "upstream_name": upstream.as_str(),
            "reason": reason,
            "body_hash": forwarded.to_string(),
        });
        self.earlier.extend(own_event(event));
    }

    /// Whether an upstream may have got the request.
    pub fn is_forwarded(&self) -> bool {
        self.forwarded.is_some()
    }

    /// The upstream that got the request last.
    pub fn upstream(&self) -> Option<&Name> {
        self.upstream.as_ref()
    }

    /// The events up to the one that the request was forwarded.
    pub fn into_events(self) -> impl Iterator<Item = Event> {
        let rewritten = self
            .forwarded
            .filter(|_| !self.rewritten.is_empty())
            .and_then(|_| own_event(json!({ "type": REWRITTEN, "members": self.rewritten })));
        let forwarded = self
            .forwarded
            .map(|body_hash| Event::RequestForwarded { body_hash });
        let earlier = self.authorization.into_iter().chain(self.earlier);
        let earlier = earlier.chain(self.verification);
        earlier.chain(rewritten).chain(forwarded)
    }

    /// The event that the upstream failed.
    pub fn failure(&self) -> Option<Event> {
        let cause = self.cause?;
        own_event(json!({
            "type": UPSTREAM_FAILED,
            "upstream_name": self.upstream.as_ref().map(Name::as_str),
            "cause": cause.to_string(),
        }))
    }
}

pub(super) fn retention_failed() -> Option<Event> {
    own_event(json!({ "type": RETENTION_FAILED }))
}

pub(super) fn incomplete(cut: Interruption) -> Option<Event> {
    own_event(json!({ "type": INCOMPLETE, "reason": cut.reason() }))
}

/// Our own events are well formed by construction; a malformed one would be left out.
fn own_event(value: serde_json::Value) -> Option<Event> {
    OtherEvent::new(value).ok().map(Event::Other)
}
