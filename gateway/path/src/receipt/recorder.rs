//! One request's record, from admission to the last byte.

use attest_core::retention::{Field, OnFailure, Terms};
use attest_core::{BodyHasher, Event, OtherEvent, ReceiptBody, SessionId, Sha256Digest, UnixTime};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CutShort, Ending, Store};
use crate::admit::AdmittedRequest;
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
use gateway_retention::{Records, Unkept};
use gateway_store::ledger::Ledger;

/// An upstream that was tried before the one that decided the request.
const PASSED_OVER: &str = "sealgate.upstream.passed_over";
/// Members of the request that were changed before it was forwarded.
const REWRITTEN: &str = "sealgate.request.rewritten";
/// Something that the policy demands could not be kept.
const UNKEPT: &str = "sealgate.retention.failed";
/// The upstream failed, or its answer had a fault; the cause is a word of a closed set.
const UPSTREAM_FAILED: &str = "sealgate.upstream.failed";
/// The upstream refused the usage we asked for, and was sent the request without it.
const REPEATED: &str = "sealgate.request.repeated";
/// The response did not go out whole.
const INCOMPLETE: &str = "sealgate.response.incomplete";

/// Where a finished record goes.
#[derive(Clone)]
pub struct RequestServices {
    pub receipts: Arc<Store>,
    pub records: Records,
    pub ledger: Arc<Ledger>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
}

impl RequestServices {
    /// One set of values makes the counters, the log line, the span and the row of a request. Of one that nothing is
    /// kept of there are the counters alone.
    fn meter(&self, row: UsageRow, retention: Option<RowRetention>) {
        let event = events::Event::RequestFinished {
            usage: Box::new(row.clone()),
            retention: retention.clone(),
        };
        self.metrics.count_and_emit(event);
        if let Some(retention) = retention {
            self.ledger.record_usage(row, retention);
        }
    }
}

/// Collects what happens to a request. Dropped without an [`Ending`], it records that the caller went away.
pub struct Recorder(Option<Box<Open>>);

struct Open {
    services: RequestServices,
    epoch: Arc<Epoch>,
    retention: Terms,
    unkept: Unkept,
    /// Where its row is before it is forwarded, if its policy wants one there.
    unfinished: Option<UnfinishedId>,
    receipt_id: String,
    caller: Caller,
    endpoint: Endpoint,
    stream: bool,
    admitted_at: UnixTime,
    begun: Instant,
    bytes_in: u64,
    model: Option<Name>,
    /// The client's word for it: the id or an alias.
    asked_for: Option<Name>,
    received: Sha256Digest,
    passed_over: Vec<Event>,
    verification: Option<Event>,
    upstream: Option<Name>,
    forwarded: Option<Sha256Digest>,
    rewritten: Vec<&'static str>,
    status: u16,
    /// All bytes of the response that were handed to the connection.
    emitted: Emitted,
    /// Those of them that it has written, where it says so.
    sent: Option<Emitted>,
    cause: Option<Cause>,
    first_byte: Option<Duration>,
    chat_id: Option<String>,
    usage: Usage,
}

/// Bytes of a response body.
#[derive(Clone, Default)]
struct Emitted {
    hash: BodyHasher,
    count: u64,
}

impl Recorder {
    /// Begins the record of an admitted request.
    pub fn begin(services: &RequestServices, request: &AdmittedRequest) -> Self {
        Self(Some(Box::new(Open {
            services: services.clone(),
            epoch: Arc::clone(&request.epoch),
            retention: request.retention.clone(),
            unkept: Unkept::default(),
            unfinished: request
                .retention
                .kept()
                .filter(|kept| kept.on_failure == OnFailure::Refuse)
                .map(|_| services.ledger.unfinished()),
            receipt_id: request.receipt_id.clone(),
            caller: request.caller.clone(),
            endpoint: request.endpoint,
            stream: request.fields.stream,
            admitted_at: request.admitted_at,
            begun: Instant::now(),
            bytes_in: request.prompt.len() as u64,
            model: None,
            asked_for: None,
            received: request.received_hash,
            passed_over: Vec::new(),
            verification: None,
            upstream: None,
            forwarded: None,
            rewritten: Vec::new(),
            status: 0,
            emitted: Emitted::default(),
            sent: None,
            cause: None,
            first_byte: None,
            chat_id: None,
            usage: Usage::default(),
        })))
    }

    /// Where it is noted that something could not be kept.
    pub fn unkept(&self) -> Unkept {
        let open = self.0.as_ref();
        open.map_or_else(Unkept::default, |open| open.unkept.clone())
    }

    /// The row that there has to be before this request is forwarded, where its policy wants one.
    pub fn row_before(&self) -> Option<(UsageRow, RowRetention)> {
        let open = self.0.as_ref().filter(|open| open.unfinished.is_some())?;
        Some((open.usage_row(Outcome::Unfinished), open.row_retention()?))
    }

    /// The configured model, and the configured name by which it was asked for.
    pub fn routed(&mut self, model: &Name, asked_for: &Name) {
        self.note(|open| {
            open.model = Some(model.clone());
            open.asked_for = Some(asked_for.clone());
        });
    }

    /// An upstream that could not serve, before another was tried.
    pub fn passed_over(&mut self, upstream: &Name, reason: &str) {
        let event =
            json!({ "type": PASSED_OVER, "upstream_name": upstream.as_str(), "reason": reason });
        self.note(|open| open.passed_over.extend(own_event(event)));
    }

    /// The upstream in use was verified, in this session.
    pub fn verified(&mut self, required: bool, upstream_model: &Name, session_id: SessionId) {
        let model_id = upstream_model.to_string();
        self.note(|open| {
            open.verification = Some(Event::UpstreamVerified {
                required,
                model_id,
                session_id,
            });
        });
    }

    /// No session stands behind this request: the verification failed, or there was none.
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
        self.note(|open| open.verification = Some(event));
    }

    /// These bytes are about to leave for this upstream.
    pub fn forwarding(&mut self, upstream: &Name, body: Sha256Digest, changed: &[&'static str]) {
        self.note(|open| {
            open.upstream = Some(upstream.clone());
            open.forwarded = Some(body);
            open.rewritten = changed.to_vec();
        });
    }

    /// They did not leave after all.
    pub fn not_forwarded(&mut self) {
        self.note(|open| open.forwarded = None);
    }

    /// There is no inference, for this reason.
    pub fn refused(&mut self, error: &ApiError) {
        if let (Some(open), Some(code)) = (&self.0, error.refused_by_policy()) {
            open.services.ledger.audit().refused(code);
        }
    }

    /// The status the caller is given.
    pub fn answering(&mut self, status: u16) {
        self.note(|open| open.status = status);
    }

    /// Bytes of the response body that are handed to the connection now.
    pub fn emitting(&mut self, bytes: &[u8]) {
        self.note(|open| {
            if open.first_byte.is_none() {
                open.first_byte = Some(open.begun.elapsed());
            }
            open.emitted.count += bytes.len() as u64;
            open.emitted.hash.update(bytes);
        });
    }

    /// The connection says when it has written what it was handed. Of a response that is cut short only that counts.
    pub fn confirms_sending(&mut self) {
        self.note(|open| open.sent = Some(Emitted::default()));
    }

    /// Everything that was handed over so far has been written.
    pub fn sent(&mut self) {
        self.note(|open| {
            if let Some(sent) = &mut open.sent
                && sent.count != open.emitted.count
            {
                *sent = open.emitted.clone();
            }
        });
    }

    /// What the upstream did wrong.
    pub fn upstream_failed(&mut self, cause: Cause) {
        self.note(|open| open.cause = Some(cause));
    }

    /// The request is sent to the same upstream once more: it refused what we had added, or the connection.
    pub fn repeating(&mut self, upstream: &Name, reason: &'static str) {
        self.note(|open| {
            let Some(forwarded) = open.forwarded else {
                return;
            };
            let event = json!({
                "type": REPEATED,
                "upstream_name": upstream.as_str(),
                "reason": reason,
                "body_hash": forwarded.to_string(),
            });
            open.passed_over.extend(own_event(event));
        });
    }

    /// What the response said about itself.
    pub fn metered(&mut self, chat_id: Option<&str>, usage: Usage) {
        self.note(|open| {
            open.chat_id = chat_id.map(str::to_owned);
            open.usage = usage;
        });
    }

    /// Signs and files the record. Later calls do nothing.
    pub fn finish(&mut self, ending: Ending) {
        if let Some(open) = self.0.take() {
            open.file(ending);
        }
    }

    fn note(&mut self, change: impl FnOnce(&mut Open)) {
        if let Some(open) = &mut self.0 {
            change(open);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.finish(Ending::CutShort(CutShort::ConnectionClosed));
    }
}

impl Open {
    fn file(mut self, ending: Ending) {
        if let (Ending::CutShort(_), Some(sent)) = (ending, self.sent.take()) {
            self.emitted = sent;
        }
        let services = self.services.clone();
        let key_digest = self.caller.key_digest;
        let epoch = Arc::clone(&self.epoch);
        let row = self.usage_row(ending.outcome());
        let retention = self.row_retention();
        let until = self.keep_receipt_until();
        let receipt = self.receipt(ending).sign(&epoch.signing_key);
        services.receipts.put(&receipt, key_digest, until);
        services.meter(row, retention);
    }

    /// What of the row outlives the request; none where nothing does.
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
            bytes_out: self.emitted.count,
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
            body_hash: self.emitted.hash.finish(),
        });
        if let Some(cause) = self.cause {
            let upstream = self.upstream.as_ref().map(Name::as_str);
            events.extend(own_event(json!({
                "type": UPSTREAM_FAILED,
                "upstream_name": upstream,
                "cause": cause.to_string(),
            })));
        }
        if self.unkept.is_marked() {
            events.extend(own_event(json!({ "type": UNKEPT })));
        }
        if let Ending::CutShort(cut) = ending {
            events.extend(own_event(
                json!({ "type": INCOMPLETE, "reason": cut.reason() }),
            ));
        }
        ReceiptBody {
            receipt_id: self.receipt_id,
            chat_id: self.chat_id,
            model: self.asked_for.map(|name| name.to_string()),
            keyset_digest: self.epoch.keyset_digest,
            endpoint: self.endpoint.path().to_owned(),
            method: "POST".to_owned(),
            served_at: self.services.clock.now(),
            events,
        }
    }
}

/// Our own event types are well formed by construction; one that were not is left out rather than fatal.
fn own_event(value: serde_json::Value) -> Option<Event> {
    OtherEvent::new(value).ok().map(Event::Other)
}
