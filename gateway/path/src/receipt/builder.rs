//! Collects the events of one request, from admission to the last byte, in a receipt.

use attest_core::retention::{Field, OnFailure, Terms};
use attest_core::{BodyHasher, Event, OtherEvent, ReceiptBody, SessionId, Sha256Digest, UnixTime};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Ending, Interruption, ReceiptStore};
use crate::admit::RequestContext;
use attest_channel::Clock;
use gateway_base::errors::ApiError;
use gateway_base::events;
use gateway_base::metering::Cause;
use gateway_base::metering::UnfinishedId;
use gateway_base::metering::Usage;
use gateway_base::metering::{Outcome, RowRetention, UsageRow};
use gateway_base::metrics::Metrics;
use gateway_base::request::Name;
use gateway_base::request::{Caller, Endpoint};
use gateway_contract::epoch::Epoch;
use gateway_retention::{Records, RetentionFailure};
use gateway_store::ledger::Ledger;

/// An upstream that was tried before the one that the request was sent to.
const PASSED_OVER: &str = "sealgate.upstream.passed_over";
/// Members of the request that were changed before it was forwarded.
const REWRITTEN: &str = "sealgate.request.rewritten";
/// Something that the policy requires could not be kept.
const RETENTION_FAILED: &str = "sealgate.retention.failed";
/// The upstream failed, or its response had a fault; the cause is one of a closed set.
const UPSTREAM_FAILED: &str = "sealgate.upstream.failed";
/// The upstream refused our request for usage, and the request was sent again without it.
const REPEATED: &str = "sealgate.request.repeated";
/// The response is incomplete.
const INCOMPLETE: &str = "sealgate.response.incomplete";

/// The services that requests share: where receipts, records and usage go.
#[derive(Clone)]
pub struct RequestServices {
    pub receipts: Arc<ReceiptStore>,
    pub records: Records,
    pub ledger: Arc<Ledger>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
}

impl RequestServices {
    /// Reports one set of values to the counters, the log line, the span and the row of a request. If nothing is kept of it,
    /// only the counters get them.
    fn meter(&self, row: UsageRow, retention: Option<RowRetention>) {
        let event = events::Event::RequestFinished {
            usage: Box::new(row.clone()),
            retention: retention.clone(),
        };
        self.metrics.count_and_emit(event);
        if let Some(retention) = retention {
            self.ledger.usage().record(row, retention);
        }
    }
}

/// Collects the events of a request. Dropped without an [`Ending`], it records that the client disconnected. `None` once
/// the receipt is stored.
pub struct ReceiptBuilder(Option<Box<Draft>>);

/// The receipt and the usage row so far.
struct Draft {
    services: RequestServices,
    epoch: Arc<Epoch>,
    retention: Terms,
    retention_failure: RetentionFailure,
    /// Identifies the row that is written before the request is forwarded, if the policy requires one.
    unfinished: Option<UnfinishedId>,
    receipt_id: String,
    caller: Caller,
    endpoint: Endpoint,
    stream: bool,
    admitted_at: UnixTime,
    begun: Instant,
    bytes_in: u64,
    model: Option<Name>,
    /// The name in the request: the id or an alias.
    requested_name: Option<Name>,
    received: Sha256Digest,
    passed_over: Vec<Event>,
    verification: Option<Event>,
    upstream: Option<Name>,
    forwarded: Option<Sha256Digest>,
    rewritten: Vec<&'static str>,
    status: u16,
    /// All bytes of the response that were handed to the connection.
    handed_over: BodyBytes,
    /// Those of them that it has written; `None` if the connection does not count flushes.
    written: Option<BodyBytes>,
    cause: Option<Cause>,
    first_byte: Option<Duration>,
    chat_id: Option<String>,
    usage: Usage,
}

/// A response body up to some byte.
#[derive(Clone, Default)]
struct BodyBytes {
    hash: BodyHasher,
    count: u64,
}

impl ReceiptBuilder {
    /// Starts the receipt of an admitted request.
    pub fn new(services: &RequestServices, request: &RequestContext) -> Self {
        Self(Some(Box::new(Draft {
            services: services.clone(),
            epoch: Arc::clone(&request.epoch),
            retention: request.retention.clone(),
            retention_failure: RetentionFailure::default(),
            unfinished: request
                .retention
                .kept()
                .filter(|kept| kept.on_failure == OnFailure::Refuse)
                .map(|_| services.ledger.usage().next_unfinished()),
            receipt_id: request.receipt_id.clone(),
            caller: request.caller.clone(),
            endpoint: request.endpoint,
            stream: request.stream,
            admitted_at: request.admitted_at,
            begun: Instant::now(),
            bytes_in: request.received_bytes,
            model: None,
            requested_name: None,
            received: request.received_hash,
            passed_over: Vec::new(),
            verification: None,
            upstream: None,
            forwarded: None,
            rewritten: Vec::new(),
            status: 0,
            handed_over: BodyBytes::default(),
            written: None,
            cause: None,
            first_byte: None,
            chat_id: None,
            usage: Usage::default(),
        })))
    }

    /// The flag that retention sets when something could not be kept.
    pub fn retention_failure(&self) -> RetentionFailure {
        let draft = self.0.as_ref();
        draft.map_or_else(RetentionFailure::default, |draft| {
            draft.retention_failure.clone()
        })
    }

    /// The row that has to be written before this request is forwarded, if its policy requires one.
    pub fn row_before_forwarding(&self) -> Option<(UsageRow, RowRetention)> {
        let draft = self.0.as_ref().filter(|draft| draft.unfinished.is_some())?;
        Some((draft.usage_row(Outcome::Unfinished), draft.row_retention()?))
    }

    /// The configured model, and the name in the request.
    pub fn routed(&mut self, model: &Name, requested_name: &Name) {
        self.update(|draft| {
            draft.model = Some(model.clone());
            draft.requested_name = Some(requested_name.clone());
        });
    }

    /// This upstream could not be used; another is tried.
    pub fn passed_over(&mut self, upstream: &Name, reason: &str) {
        let event =
            json!({ "type": PASSED_OVER, "upstream_name": upstream.as_str(), "reason": reason });
        self.update(|draft| draft.passed_over.extend(own_event(event)));
    }

    /// The upstream was verified, in this session.
    pub fn verified(&mut self, required: bool, upstream_model: &Name, session_id: SessionId) {
        let model_id = upstream_model.to_string();
        self.update(|draft| {
            draft.verification = Some(Event::UpstreamVerified {
                required,
                model_id,
                session_id,
            });
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
        let event = Event::UpstreamFailed {
            required,
            model_id: upstream_model.to_owned(),
            reason: reason.to_owned(),
            upstream_name: upstream.map(ToString::to_string),
        };
        self.update(|draft| draft.verification = Some(event));
    }

    /// A body with this digest is about to be sent to this upstream.
    pub fn forwarded(&mut self, upstream: &Name, body: Sha256Digest, changed: &[&'static str]) {
        self.update(|draft| {
            draft.upstream = Some(upstream.clone());
            draft.forwarded = Some(body);
            draft.rewritten = changed.to_vec();
        });
    }

    /// It was not sent after all.
    pub fn not_forwarded(&mut self) {
        self.update(|draft| draft.forwarded = None);
    }

    /// Counts a refusal in the audit log, if a policy is its reason.
    pub fn count_policy_refusal(&mut self, error: &ApiError) {
        if let (Some(draft), Some(code)) = (&self.0, error.refused_by_policy()) {
            draft.services.ledger.audit().count_refusal(code);
        }
    }

    /// The status of the response.
    pub fn set_status(&mut self, status: u16) {
        self.update(|draft| draft.status = status);
    }

    /// These bytes of the response body are handed to the connection now.
    pub fn add_body(&mut self, bytes: &[u8]) {
        self.update(|draft| {
            if draft.first_byte.is_none() {
                draft.first_byte = Some(draft.begun.elapsed());
            }
            draft.handed_over.count += bytes.len() as u64;
            draft.handed_over.hash.update(bytes);
        });
    }

    /// The connection counts flushes: if the response is interrupted, only written bytes count.
    pub fn track_writes(&mut self) {
        self.update(|draft| draft.written = Some(BodyBytes::default()));
    }

    /// Everything that was handed over so far has been written.
    pub fn mark_written(&mut self) {
        self.update(|draft| {
            // Polls without new bytes are frequent: the hash state is copied only when it has changed.
            if let Some(written) = &mut draft.written
                && written.count != draft.handed_over.count
            {
                *written = draft.handed_over.clone();
            }
        });
    }

    /// The upstream's failure.
    pub fn upstream_failed(&mut self, cause: Cause) {
        self.update(|draft| draft.cause = Some(cause));
    }

    /// The request is sent to the same upstream again: it refused what we had added, or the connection.
    pub fn repeated(&mut self, upstream: &Name, reason: &'static str) {
        self.update(|draft| {
            let Some(forwarded) = draft.forwarded else {
                return;
            };
            let event = json!({
                "type": REPEATED,
                "upstream_name": upstream.as_str(),
                "reason": reason,
                "body_hash": forwarded.to_string(),
            });
            draft.passed_over.extend(own_event(event));
        });
    }

    /// Id and usage from the response.
    pub fn set_metering(&mut self, chat_id: Option<&str>, usage: Usage) {
        self.update(|draft| {
            draft.chat_id = chat_id.map(str::to_owned);
            draft.usage = usage;
        });
    }

    /// Stores the receipt. Later calls do nothing.
    pub fn finish(&mut self, ending: Ending) {
        // Taken, so that the drop after a proper end stores no second receipt.
        if let Some(draft) = self.0.take() {
            draft.store(ending);
        }
    }

    fn update(&mut self, change: impl FnOnce(&mut Draft)) {
        if let Some(draft) = &mut self.0 {
            change(draft);
        }
    }
}

impl Drop for ReceiptBuilder {
    fn drop(&mut self) {
        self.finish(Ending::Interrupted(Interruption::ConnectionClosed));
    }
}

impl Draft {
    fn store(mut self, ending: Ending) {
        // Interrupted: the client can have at most what the connection has written, and the receipt must not claim
        // more.
        if let (Ending::Interrupted(_), Some(written)) = (ending, self.written.take()) {
            self.handed_over = written;
        }
        let services = self.services.clone();
        let key_digest = self.caller.key_digest;
        let epoch = Arc::clone(&self.epoch);
        let row = self.usage_row(ending.outcome());
        let retention = self.row_retention();
        let until = self.keep_receipt_until();
        let receipt = self.receipt(ending);
        // The receipt first: a client or an operator who sees the row or the log event can fetch it.
        services.receipts.put(receipt, &epoch, key_digest, until);
        services.meter(row, retention);
    }

    /// What of the row is kept; `None` if nothing is.
    fn row_retention(&self) -> Option<RowRetention> {
        let kept = self.retention.kept()?;
        Some(RowRetention {
            expires_at: self.services.ledger.clock().now().plus(kept.ttl),
            fields: kept.fields.clone(),
            replaces: self.unfinished,
        })
    }

    fn keep_receipt_until(&self) -> Option<UnixTime> {
        let kept = self.retention.kept()?;
        let longest = self.epoch.config.receipts.keep;
        let ttl = kept.ttl.min(longest);
        let keeps = self.retention.keeps(Field::Receipt);
        keeps.then(|| self.services.ledger.clock().now().plus(ttl))
    }

    fn usage_row(&self, outcome: Outcome) -> UsageRow {
        UsageRow {
            at: self.admitted_at,
            receipt_id: self.receipt_id.clone(),
            key_id: Arc::clone(&self.caller.key_id),
            tenant: self.caller.tenant.clone(),
            model: self.model.clone(),
            upstream: self.upstream.clone(),
            endpoint: self.endpoint,
            stream: self.stream,
            status: self.status,
            prompt_tokens: self.usage.prompt_tokens,
            completion_tokens: self.usage.completion_tokens,
            latency: self.begun.elapsed(),
            first_byte: self.first_byte,
            bytes_in: self.bytes_in,
            bytes_out: self.handed_over.count,
            token_source: self.usage.source,
            cause: self.cause,
            outcome,
        }
    }

    fn receipt(self, ending: Ending) -> ReceiptBody {
        let mut events = Vec::with_capacity(6);
        events.push(Event::RequestReceived {
            body_hash: self.received,
        });
        events.push(Event::PolicyApplied {
            retention: self.epoch.retention.policy().digest(),
            mode: self.retention.mode().as_str().to_owned(),
            epoch: self.epoch.number,
        });
        events.extend(self.passed_over);
        events.extend(self.verification);
        if self.forwarded.is_some() && !self.rewritten.is_empty() {
            events.extend(own_event(
                json!({ "type": REWRITTEN, "members": self.rewritten }),
            ));
        }
        events.extend(
            self.forwarded
                .map(|body_hash| Event::RequestForwarded { body_hash }),
        );
        events.push(Event::ResponseReturned {
            body_hash: self.handed_over.hash.finish(),
        });
        if let Some(cause) = self.cause {
            let upstream = self.upstream.as_ref().map(Name::as_str);
            events.extend(own_event(json!({
                "type": UPSTREAM_FAILED,
                "upstream_name": upstream,
                "cause": cause.to_string(),
            })));
        }
        if self.retention_failure.is_marked() {
            events.extend(own_event(json!({ "type": RETENTION_FAILED })));
        }
        if let Ending::Interrupted(cut) = ending {
            events.extend(own_event(
                json!({ "type": INCOMPLETE, "reason": cut.reason() }),
            ));
        }
        ReceiptBody {
            receipt_id: self.receipt_id,
            chat_id: self.chat_id,
            model: self.requested_name.map(|name| name.to_string()),
            keyset_digest: self.epoch.keyset_digest,
            endpoint: self.endpoint.path().to_owned(),
            method: "POST".to_owned(),
            served_at: self.services.clock.now(),
            events,
        }
    }
}

/// Our own events are well formed by construction; a malformed one would be left out.
fn own_event(value: serde_json::Value) -> Option<Event> {
    OtherEvent::new(value).ok().map(Event::Other)
}
