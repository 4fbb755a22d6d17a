//! The receipt of a request, stage by stage: [`Received`] → [`Routed`] → [`Returning`] → [`Finished`].
//!
//! Each stage has what is known by then, and gives the next one by value. So a receipt without a destination, or without
//! an end, cannot be made. A stage that is dropped stores a receipt too: the client disconnected.

use std::sync::Arc;
use std::time::Duration;

use attest_core::{BodyHasher, SessionId, Sha256Digest};

use super::attempts::Attempts;
use super::exchange::{Exchange, RequestServices};
use super::finished::Finished;
use super::{Ending, Interruption};
use crate::admit::RequestContext;
use gateway_authorization::Effect;
use gateway_base::errors::ApiError;
use gateway_base::metering::{Cause, Outcome, RowRetention, Usage, UsageRow};
use gateway_base::quota::Money;
use gateway_base::request::Name;
use gateway_retention::RetentionFailure;

/// Where a request goes.
pub(super) enum Destination {
    /// A configured model, and the name in the request: the id or an alias.
    Model { model: Name, requested: Name },
    /// The request names no configured model, or was dropped before that was known.
    Unknown,
}

/// The response as far as it was returned.
#[derive(Default)]
pub(super) struct Returned {
    pub status: u16,
    /// All bytes that were handed to the connection.
    pub handed_over: BodyBytes,
    /// Those of them that it has written; `None` if the connection does not count flushes.
    pub written: Option<BodyBytes>,
    pub first_byte: Option<Duration>,
    /// It is an upstream's answer, not an error.
    pub answered: bool,
    pub chat_id: Option<String>,
    pub usage: Usage,
}

/// A response body up to some byte.
#[derive(Clone, Default)]
pub(super) struct BodyBytes {
    pub hash: BodyHasher,
    pub count: u64,
}

/// A stage that can be the last one.
pub trait Stage {
    fn finish(self, ending: Ending) -> Finished;
}

/// A receipt that has not ended. Dropped, it stores that the client disconnected. `None` once it was stored, or became
/// the next stage.
pub struct Unfinished<S: Stage>(Option<S>);

impl<S: Stage> Unfinished<S> {
    fn new(stage: S) -> Self {
        Self(Some(stage))
    }

    fn next<N: Stage>(mut self, next: impl FnOnce(S) -> N) -> Unfinished<N> {
        Unfinished(self.0.take().map(next))
    }

    fn update(&mut self, change: impl FnOnce(&mut S)) {
        if let Some(stage) = &mut self.0 {
            change(stage);
        }
    }

    /// Stores the receipt. Later calls do nothing.
    pub fn finish(&mut self, ending: Ending) {
        // Taken, so that the drop after a proper end stores no second receipt.
        if let Some(stage) = self.0.take() {
            stage.finish(ending).store();
        }
    }
}

impl<S: Stage> Drop for Unfinished<S> {
    fn drop(&mut self) {
        self.finish(Ending::Interrupted(Interruption::ConnectionClosed));
    }
}

/// A request was admitted.
pub struct Received(Box<Exchange>);

impl Stage for Received {
    fn finish(self, ending: Ending) -> Finished {
        Routed::new(self, Destination::Unknown).finish(ending)
    }
}

impl Unfinished<Received> {
    /// Starts the receipt of an admitted request.
    pub fn received(services: &Arc<RequestServices>, request: &mut RequestContext) -> Self {
        Self::new(Received(Exchange::new(services, request)))
    }

    /// It is for this configured model, which it names so.
    pub fn routed(self, model: &Name, requested: &Name) -> Unfinished<Routed> {
        let destination = Destination::Model {
            model: model.clone(),
            requested: requested.clone(),
        };
        self.next(|received| Routed::new(received, destination))
    }

    /// It names no configured model.
    pub fn not_routed(self) -> Unfinished<Routed> {
        self.next(|received| Routed::new(received, Destination::Unknown))
    }
}

/// Its destination is known; upstreams are tried.
pub struct Routed {
    exchange: Box<Exchange>,
    destination: Destination,
    attempts: Attempts,
}

impl Routed {
    fn new(Received(exchange): Received, destination: Destination) -> Self {
        Self {
            exchange,
            destination,
            attempts: Attempts::default(),
        }
    }
}

impl Stage for Routed {
    fn finish(self, ending: Ending) -> Finished {
        Returning::new(self, 0).finish(ending)
    }
}

impl Unfinished<Routed> {
    /// The authorization policy has decided about the request, by the rule with this code.
    pub fn authorized(&mut self, effect: Effect, code: &Name) {
        self.update(|routed| {
            let Exchange {
                epoch, services, ..
            } = &*routed.exchange;
            services
                .metrics
                .authorization_decided(effect == Effect::Allow, code);
            if let Some(policy) = epoch.authorization.digest() {
                routed.attempts.authorized(policy, effect, code);
            }
        });
    }

    /// The flag that retention sets when something could not be kept.
    pub fn retention_failure(&self) -> RetentionFailure {
        let routed = self.0.as_ref();
        routed.map_or_else(RetentionFailure::default, |routed| {
            routed.exchange.retention_failure.clone()
        })
    }

    /// The row that has to be written before this request is forwarded, if its policy requires one.
    pub fn row_before_forwarding(&self) -> Option<(UsageRow, RowRetention)> {
        let routed = self.0.as_ref()?;
        routed.exchange.unfinished?;
        let Routed {
            exchange,
            destination,
            attempts,
        } = routed;
        let row = exchange.usage_row(
            destination,
            attempts,
            &Returned::default(),
            Outcome::Unfinished,
        );
        Some((row, exchange.row_retention()?))
    }

    /// This upstream could not be used; another is tried.
    pub fn passed_over(&mut self, upstream: &Name, reason: &str) {
        self.update(|routed| routed.attempts.passed_over(upstream, reason));
    }

    /// The upstream was verified, in this session.
    pub fn verified(&mut self, required: bool, upstream_model: &Name, session_id: SessionId) {
        self.update(|routed| {
            routed
                .attempts
                .verified(required, upstream_model, session_id);
        });
    }

    /// There is no session for this request: the verification failed, or there was none.
    pub fn unverified(
        &mut self,
        required: bool,
        upstream_model: &str,
        reason: &str,
        upstream: Option<&Name>,
    ) {
        self.update(|routed| {
            routed
                .attempts
                .unverified(required, upstream_model, reason, upstream);
        });
    }

    /// A body with this digest is about to be sent to this upstream.
    pub fn forwarded(&mut self, upstream: &Name, body: Sha256Digest, changed: &[&'static str]) {
        self.update(|routed| routed.attempts.forwarded(upstream, body, changed));
    }

    /// It was not sent after all.
    pub fn not_forwarded(&mut self) {
        self.update(|routed| routed.attempts.not_forwarded());
    }

    /// The request is sent to the same upstream again: it refused what we had added, or the connection.
    pub fn repeated(&mut self, upstream: &Name, reason: &'static str) {
        self.update(|routed| routed.attempts.repeated(upstream, reason));
    }

    /// The upstream's failure.
    pub fn upstream_failed(&mut self, cause: Cause) {
        self.update(|routed| routed.attempts.cause = Some(cause));
    }

    /// Counts a refusal in the audit log, if a policy is its reason.
    pub fn count_policy_refusal(&mut self, error: &ApiError) {
        if let (Some(routed), Some(code)) = (&self.0, error.refused_by_policy()) {
            routed.exchange.services.ledger.audit().count_refusal(&code);
        }
    }

    /// What the request costs with this usage, if clients are shown it.
    pub fn shown_cost(&self, usage: Usage) -> Option<Money> {
        let Routed {
            exchange,
            destination,
            attempts,
        } = self.0.as_ref()?;
        if !exchange.epoch.config.prices.cost_header {
            return None;
        }
        let returned = Returned {
            answered: true,
            usage,
            ..Returned::default()
        };
        let complete = Ending::Complete(Outcome::Completed);
        exchange
            .charge(destination, attempts, &returned, complete)
            .cost
    }

    /// A response with this status begins: the upstream's answer, or our own error.
    pub fn returning(self, status: u16) -> Unfinished<Returning> {
        self.next(|routed| Returning::new(routed, status))
    }
}

/// The response is returned.
pub struct Returning {
    routed: Routed,
    returned: Returned,
}

impl Returning {
    fn new(routed: Routed, status: u16) -> Self {
        let returned = Returned {
            status,
            ..Returned::default()
        };
        Self { routed, returned }
    }
}

impl Stage for Returning {
    fn finish(self, ending: Ending) -> Finished {
        let Routed {
            exchange,
            destination,
            attempts,
        } = self.routed;
        Finished::new(exchange, destination, attempts, self.returned, ending)
    }
}

impl Unfinished<Returning> {
    /// These bytes of the response body are handed to the connection now.
    pub fn add_body(&mut self, bytes: &[u8]) {
        self.update(|Returning { routed, returned }| {
            if returned.first_byte.is_none() {
                returned.first_byte = Some(routed.exchange.begun.elapsed());
            }
            returned.handed_over.count += bytes.len() as u64;
            returned.handed_over.hash.update(bytes);
        });
    }

    /// The connection counts flushes: if the response is interrupted, only written bytes count.
    pub fn track_writes(&mut self) {
        self.update(|stage| stage.returned.written = Some(BodyBytes::default()));
    }

    /// Everything that was handed over so far has been written.
    pub fn mark_written(&mut self) {
        self.update(|Returning { returned, .. }| {
            // Polls without new bytes are frequent: the hash state is copied only when it has changed.
            if let Some(written) = &mut returned.written
                && written.count != returned.handed_over.count
            {
                *written = returned.handed_over.clone();
            }
        });
    }

    /// The upstream's failure.
    pub fn upstream_failed(&mut self, cause: Cause) {
        self.update(|stage| stage.routed.attempts.cause = Some(cause));
    }

    /// The response is an upstream's answer.
    pub fn answered(&mut self) {
        self.update(|stage| stage.returned.answered = true);
    }

    /// Id and usage from the response.
    pub fn set_metering(&mut self, chat_id: Option<&str>, usage: Usage) {
        self.update(|Returning { returned, .. }| {
            returned.chat_id = chat_id.map(str::to_owned);
            returned.usage = usage;
        });
    }
}
