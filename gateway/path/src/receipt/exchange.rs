//! What is known of a request when it is admitted, and the rows that are made of it.

use std::sync::Arc;
use std::time::Instant;

use attest_core::retention::{Field, OnFailure, Terms};
use attest_core::{Sha256Digest, UnixTime};

use super::ReceiptStore;
use crate::admit::{LimitShare, RequestContext};
use attest_channel::Clock;
use gateway_base::events;
use gateway_base::metering::{RowRetention, UnfinishedId, UsageRow};
use gateway_base::metrics::Metrics;
use gateway_base::quota::Spent;
use gateway_base::request::{Caller, Endpoint, Labels};
use gateway_contract::epoch::Epoch;
use gateway_quota::Reservation;
use gateway_retention::{Records, RetentionFailure};
use gateway_store::ledger::Ledger;

/// The services that requests share: where receipts, records and usage go.
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
    pub(super) fn meter(&self, row: UsageRow, retention: Option<RowRetention>, spent: &[Spent]) {
        let kept = retention.as_ref().map(|retention| (&row, retention));
        self.ledger.usage().record_ended(kept, spent);
        self.metrics.count_and_emit(events::Event::RequestFinished {
            usage: Arc::new(row),
            retention,
        });
    }
}

/// An admitted request. Nothing in it changes until its end, where its reservation is settled.
pub(super) struct Exchange {
    pub services: Arc<RequestServices>,
    pub epoch: Arc<Epoch>,
    pub retention: Arc<Terms>,
    pub retention_failure: RetentionFailure,
    /// Identifies the row that is written before the request is forwarded, if the policy requires one.
    pub unfinished: Option<UnfinishedId>,
    pub receipt_id: String,
    pub caller: Caller,
    pub labels: Labels,
    pub endpoint: Endpoint,
    pub stream: bool,
    pub admitted_at: UnixTime,
    pub begun: Instant,
    pub bytes_in: u64,
    /// Images of the prompt, if they have a price.
    pub images: u64,
    pub reservation: Reservation,
    pub received: Sha256Digest,
    pub limit_share: Option<LimitShare>,
}

impl Exchange {
    /// Takes the reservation of the request. Boxed: it is moved from stage to stage.
    pub fn new(services: &Arc<RequestServices>, request: &mut RequestContext) -> Box<Self> {
        Box::new(Self {
            services: Arc::clone(services),
            epoch: Arc::clone(&request.epoch),
            retention: Arc::clone(&request.retention),
            retention_failure: RetentionFailure::default(),
            unfinished: request
                .retention
                .kept()
                .filter(|kept| kept.on_failure == OnFailure::Refuse)
                .map(|_| services.ledger.usage().next_unfinished()),
            receipt_id: request.receipt_id.clone(),
            caller: request.caller.clone(),
            labels: request.labels.clone(),
            endpoint: request.endpoint,
            stream: request.stream,
            admitted_at: request.admitted_at,
            begun: Instant::now(),
            bytes_in: request.received_bytes,
            images: request.images,
            reservation: std::mem::take(&mut request.reservation),
            received: request.received_hash,
            limit_share: request.limit_share.clone(),
        })
    }

    /// What of the row is kept; `None` if nothing is.
    pub fn row_retention(&self) -> Option<RowRetention> {
        let kept = self.retention.kept()?;
        Some(RowRetention {
            expires_at: self.services.ledger.clock().now().plus(kept.ttl),
            fields: kept.fields.iter().copied().collect(),
            replaces: self.unfinished,
        })
    }

    pub fn keep_receipt_until(&self) -> Option<UnixTime> {
        let kept = self.retention.kept()?;
        let longest = self.epoch.config.receipts.keep;
        let ttl = kept.ttl.min(longest);
        let keeps = self.retention.keeps(Field::Receipt);
        keeps.then(|| self.services.ledger.clock().now().plus(ttl))
    }
}
