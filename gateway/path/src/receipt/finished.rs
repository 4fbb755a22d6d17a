//! The end of a request: its receipt and its row.

use std::sync::Arc;

use attest_core::{Event, ReceiptBody};

use super::Ending;
use super::attempts::{self, Attempts};
use super::exchange::{Exchange, RequestServices};
use super::stages::{Destination, Returned};
use gateway_base::events;
use gateway_base::metering::{Outcome, UsageRow};

/// A request that has ended: everything that receipt and row say.
pub struct Finished {
    exchange: Box<Exchange>,
    destination: Destination,
    attempts: Attempts,
    returned: Returned,
    ending: Ending,
}

impl Finished {
    pub(super) fn new(
        exchange: Box<Exchange>,
        destination: Destination,
        attempts: Attempts,
        mut returned: Returned,
        ending: Ending,
    ) -> Self {
        // Interrupted: the client can have at most what the connection has written, and the receipt must not claim
        // more.
        if let (Ending::Interrupted(_), Some(written)) = (ending, returned.written.take()) {
            returned.handed_over = written;
        }
        Self {
            exchange,
            destination,
            attempts,
            returned,
            ending,
        }
    }

    /// Stores receipt and row, and counts the request.
    pub(super) fn store(mut self) {
        let reservation = std::mem::take(&mut self.exchange.reservation);
        let exchange = &self.exchange;
        if let Some(share) = &exchange.limit_share {
            let was_forwarded = self.attempts.upstream().is_some();
            share.settle(&self.returned.usage, self.returned.status, was_forwarded);
        }
        let epoch = Arc::clone(&exchange.epoch);
        let key_digest = exchange.caller.key_digest;
        let charge = exchange.charge(
            &self.destination,
            &self.attempts,
            &self.returned,
            self.ending,
        );
        let mut row = exchange.usage_row(
            &self.destination,
            &self.attempts,
            &self.returned,
            self.ending.outcome(),
        );
        row.cost = charge.cost;
        if charge.is_without_price(&exchange.epoch.config.prices) {
            exchange.services.metrics.answer_without_price(&row);
        }
        let settled = reservation.settle(charge.expense(), exchange.services.ledger.clock().now());
        let retention = exchange.row_retention();
        let until = exchange.keep_receipt_until();
        let (receipt, services) = self.receipt();
        // The receipt first: a client or an operator who sees the row or the log event can fetch it.
        services.receipts.put(receipt, &epoch, key_digest, until);
        services.meter(row, retention, &settled.spent);
        for passed in settled.passed {
            services
                .metrics
                .count_and_emit(events::Event::BudgetThreshold {
                    budget: passed.budget,
                    soft_percent: passed.soft_percent,
                    spent: passed.spent,
                    limit: passed.limit,
                    resets_at: passed.resets_at,
                });
        }
    }

    fn receipt(self) -> (ReceiptBody, Arc<RequestServices>) {
        let exchange = self.exchange;
        let failure = self.attempts.failure();
        let mut events = Vec::with_capacity(6);
        events.push(Event::RequestReceived {
            body_hash: exchange.received,
        });
        events.push(Event::PolicyApplied {
            retention: exchange.epoch.retention.policy().digest(),
            mode: exchange.retention.mode().as_str().to_owned(),
            epoch: exchange.epoch.number,
        });
        events.extend(self.attempts.into_events());
        events.push(Event::ResponseReturned {
            body_hash: self.returned.handed_over.hash.finish(),
        });
        events.extend(failure);
        if exchange.retention_failure.is_marked() {
            events.extend(attempts::retention_failed());
        }
        if let Ending::Interrupted(cut) = self.ending {
            events.extend(attempts::incomplete(cut));
        }
        let receipt = ReceiptBody {
            receipt_id: exchange.receipt_id,
            chat_id: self.returned.chat_id,
            model: match self.destination {
                Destination::Model { requested, .. } => Some(requested.to_string()),
                Destination::Unknown => None,
            },
            keyset_digest: exchange.epoch.keyset_digest,
            endpoint: exchange.endpoint.path().to_owned(),
            method: "POST".to_owned(),
            served_at: exchange.services.clock.now(),
            events,
        };
        (receipt, exchange.services)
    }
}

impl Exchange {
    /// The row of this request, as far as it has come.
    pub fn usage_row(
        &self,
        destination: &Destination,
        attempts: &Attempts,
        returned: &Returned,
        outcome: Outcome,
    ) -> UsageRow {
        UsageRow {
            at: self.admitted_at,
            receipt_id: self.receipt_id.clone(),
            key_id: Arc::clone(&self.caller.key_id),
            tenant: self.caller.tenant.clone(),
            organisation: self.caller.organisation.clone(),
            user: self.caller.user.clone(),
            labels: self.labels.clone(),
            model: match destination {
                Destination::Model { model, .. } => Some(model.clone()),
                Destination::Unknown => None,
            },
            upstream: attempts.upstream().cloned(),
            endpoint: self.endpoint,
            stream: self.stream,
            status: returned.status,
            prompt_tokens: returned.usage.prompt_tokens,
            completion_tokens: returned.usage.completion_tokens,
            token_details: returned.usage.details,
            cost: None,
            latency: self.begun.elapsed(),
            first_byte: returned.first_byte,
            bytes_in: self.bytes_in,
            bytes_out: returned.handed_over.count,
            token_source: returned.usage.source,
            cause: attempts.cause,
            outcome,
        }
    }
}
