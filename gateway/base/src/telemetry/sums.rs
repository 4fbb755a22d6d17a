//! Counters and histograms since the last batch.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::events::Event;
use crate::metering::UsageRow;
use crate::metrics::LATENCY;
use crate::request::Name;

/// Endpoint, configured model, outcome.
pub(super) type Request = (&'static str, Option<Name>, &'static str);
/// Configured model, direction.
pub(super) type Tokens = (Option<Name>, &'static str);
/// Status, error type.
pub(super) type Refusal = (u16, &'static str);

/// Labels are bounded sets, as in [`Metrics`](crate::metrics::Metrics): none of them is chosen by a caller.
#[derive(Default)]
pub(super) struct Sums {
    pub requests: BTreeMap<Request, u64>,
    pub tokens: BTreeMap<Tokens, u64>,
    pub refusals: BTreeMap<Refusal, u64>,
    /// By endpoint.
    pub latency: BTreeMap<&'static str, Histogram>,
    pub first_byte: BTreeMap<&'static str, Histogram>,
}

impl Sums {
    pub(super) fn add(&mut self, event: &Event) {
        match event {
            Event::RequestFinished { usage, .. } => self.finished(usage),
            Event::RequestRefused { status, kind, .. } => {
                *self.refusals.entry((*status, kind)).or_default() += 1;
            }
            _ => {}
        }
    }

    fn finished(&mut self, usage: &UsageRow) {
        let endpoint = usage.endpoint.label();
        let request = (endpoint, usage.model.clone(), usage.outcome.as_str());
        *self.requests.entry(request).or_default() += 1;
        for (direction, tokens) in [
            ("prompt", usage.prompt_tokens),
            ("completion", usage.completion_tokens),
        ] {
            if let Some(tokens) = tokens {
                let sum = self.tokens.entry((usage.model.clone(), direction));
                let sum = sum.or_default();
                *sum = sum.saturating_add(tokens);
            }
        }
        self.latency.entry(endpoint).or_default().add(usage.latency);
        if let Some(took) = usage.first_byte {
            self.first_byte.entry(endpoint).or_default().add(took);
        }
    }

    /// How many events were added.
    pub(super) fn events(&self) -> u64 {
        self.requests.values().chain(self.refusals.values()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events() == 0
    }
}

/// Durations by the bounds of [`LATENCY`], the last bucket for those beyond.
#[derive(Default)]
pub(super) struct Histogram {
    pub buckets: [u64; LATENCY.len() + 1],
    pub sum: Duration,
}

impl Histogram {
    fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = LATENCY.iter().position(|bound| seconds <= *bound);
        self.buckets[bucket.unwrap_or(LATENCY.len())] += 1;
        self.sum = self.sum.saturating_add(took);
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}
