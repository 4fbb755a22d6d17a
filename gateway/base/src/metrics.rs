//! Counters for Prometheus.
//!
//! Labels are endpoints, outcomes, error types and configured names: bounded sets, none of them chosen by a caller.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::errors::TokenFault;
use crate::events::{self, Event, IdentityFailure};
use crate::lock::{lock, read, write};
use crate::metering::{Outcome, StoreCounts, UsageRow};
use crate::quota::{LimitRefusal, Money};
use crate::request::{Endpoint, Name};

/// Upper bounds of latencies, in seconds.
pub(crate) const LATENCY: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    endpoint: &'static str,
    model: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefusalLabels {
    status: u16,
    r#type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitLabels {
    scope: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TokenLabels {
    model: String,
    direction: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CostLabels {
    model: String,
    upstream: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BudgetLabels {
    budget: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TenantLabels {
    tenant: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TenantTokenLabels {
    tenant: String,
    direction: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CauseLabels {
    upstream: String,
    cause: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerificationLabels {
    upstream: String,
    result: &'static str,
}

/// Of an issuer's tokens, or of fetches of its keys.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct IssuerLabels {
    issuer: String,
    result: &'static str,
}

/// The label values are an enum's and the operator's.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AuthorizationLabels {
    decision: &'static str,
    code: CodeLabel,
}

/// The code of a rule. Cloning it allocates nothing.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct CodeLabel(Name);

impl EncodeLabelValue for CodeLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

/// Everything that the labels of a finished request are made of.
#[derive(PartialEq, Eq, Hash)]
struct RequestKey {
    endpoint: Endpoint,
    model: Option<Name>,
    tenant: Name,
    outcome: Outcome,
}

/// The counters of requests with the same labels. The later ones are set by the first request that has such a value: a
/// sample that no request has caused is not shown.
struct RequestCounters {
    requests: Counter,
    tenant_requests: Counter,
    latency: Histogram,
    // Set by the first request that has such a value, read by all.
    first_byte: OnceLock<Histogram>,
    // Set by the first request that has such a value, read by all.
    prompt_tokens: OnceLock<TokenCounters>,
    // Set by the first request that has such a value, read by all.
    completion_tokens: OnceLock<TokenCounters>,
}

struct TokenCounters {
    of_model: Counter,
    of_tenant: Counter,
}

/// How an attempt to verify an upstream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerificationResult {
    Verified,
    /// Evidence was appraised and rejected.
    Rejected,
    /// No evidence was received.
    Unreachable,
    /// It has too many report requests.
    Busy,
}

/// Why a request for a report was refused while the hardware was busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportRefusal {
    /// Its address, or its API key, has the maximum number of requests in the queue.
    AddressShare,
    /// The queue is full, and no caller in it has a larger share.
    QueueFull,
    /// It was removed from the queue for a caller with a smaller share.
    Displaced,
    WaitedTooLong,
}

impl ReportRefusal {
    const fn as_str(self) -> &'static str {
        match self {
            ReportRefusal::AddressShare => "address_share",
            ReportRefusal::QueueFull => "queue_full",
            ReportRefusal::Displaced => "displaced",
            ReportRefusal::WaitedTooLong => "waited_too_long",
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReportRefusalLabels {
    reason: &'static str,
}

/// A number of the store, copied when metrics are rendered. Both kinds are kept in an [`AtomicU64`].
type StoreGauge<N> = Gauge<N, AtomicU64>;

/// All metrics of the process.
pub struct Metrics {
    // Locked to register metrics once, and to render; counters themselves are atomic.
    registry: Mutex<Registry>,
    /// The name and description of every registered metric, as an exposition shows them.
    listed: Mutex<Vec<(String, &'static str)>>,
    requests: Family<RequestLabels, Counter>,
    latency: Family<EndpointLabels, Histogram, fn() -> Histogram>,
    first_byte: Family<EndpointLabels, Histogram, fn() -> Histogram>,
    tokens: Family<TokenLabels, Counter>,
    /// Sums by tenant, including requests without retention.
    tenant_requests: Family<TenantLabels, Counter>,
    tenant_tokens: Family<TenantTokenLabels, Counter>,
    cost: Family<CostLabels, Counter>,
    unpriced: Family<CostLabels, Counter>,
    budget_refusals: Family<BudgetLabels, Counter>,
    budget_thresholds: Family<BudgetLabels, Counter>,
    upstream_failures: Family<CauseLabels, Counter>,
    /// The counters of requests that ended, found once for each combination of labels.
    // Read by every request that ends; written by the first with its labels.
    of_requests: RwLock<HashMap<RequestKey, Arc<RequestCounters>>>,
    refusals: Family<RefusalLabels, Counter>,
    limit_refusals: Family<LimitLabels, Counter>,
    verifications: Family<VerificationLabels, Counter>,
    identity_tokens: Family<IssuerLabels, Counter>,
    identity_fetches: Family<IssuerLabels, Counter>,
    authorizations: Family<AuthorizationLabels, Counter>,
    pub in_flight: Gauge,
    pub connections: Gauge,
    pub epoch: Gauge,
    pub attestation_queue: Gauge,
    pub(crate) attestation_time: Histogram,
    report_refusals: Family<ReportRefusalLabels, Counter>,
    pub(crate) rows_lost: StoreGauge<u64>,
    pub(crate) rows_waiting: StoreGauge<u64>,
    pub(crate) oldest_row_age: StoreGauge<f64>,
    pub(crate) log_entries_waiting: StoreGauge<u64>,
    pub(crate) log_entries_lost: StoreGauge<u64>,
}

const PREFIX: &str = "sealgate";

/// Registers metrics and collects their names as they appear in samples.
struct Registering<'a> {
    registry: &'a mut Registry,
    listed: &'a mut Vec<(String, &'static str)>,
}

impl Registering<'_> {
    fn register(&mut self, name: &'static str, help: &'static str, metric: impl Metric) {
        self.list(name, "", help, &metric);
        self.registry.register(name, help, metric);
    }

    fn register_with_unit(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: Unit,
        metric: impl Metric,
    ) {
        self.list(name, &format!("_{}", unit.as_str()), help, &metric);
        self.registry.register_with_unit(name, help, unit, metric);
    }

    fn list(&mut self, name: &str, unit: &str, help: &'static str, metric: &impl Metric) {
        let ending = match metric.metric_type() {
            MetricType::Counter => "_total",
            _ => "",
        };
        self.listed
            .push((format!("{PREFIX}_{name}{unit}{ending}"), help));
    }
}

fn model_label(row: &UsageRow) -> String {
    let model = row.model.as_ref();
    model.map_or("unknown", Name::as_str).to_owned()
}

fn cost_labels(row: &UsageRow) -> CostLabels {
    CostLabels {
        model: model_label(row),
        upstream: row
            .upstream
            .as_ref()
            .map_or("none", Name::as_str)
            .to_owned(),
    }
}

fn latency_histogram() -> Histogram {
    Histogram::new(LATENCY)
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Mutex::default(),
            listed: Mutex::default(),
            requests: Family::default(),
            latency: Family::new_with_constructor(latency_histogram),
            first_byte: Family::new_with_constructor(latency_histogram),
            tokens: Family::default(),
            tenant_requests: Family::default(),
            tenant_tokens: Family::default(),
            cost: Family::default(),
            unpriced: Family::default(),
            budget_refusals: Family::default(),
            budget_thresholds: Family::default(),
            upstream_failures: Family::default(),
            of_requests: RwLock::default(),
            refusals: Family::default(),
            limit_refusals: Family::default(),
            verifications: Family::default(),
            identity_tokens: Family::default(),
            identity_fetches: Family::default(),
            authorizations: Family::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            epoch: Gauge::default(),
            attestation_queue: Gauge::default(),
            attestation_time: latency_histogram(),
            report_refusals: Family::default(),
            rows_lost: Gauge::default(),
            rows_waiting: Gauge::default(),
            oldest_row_age: Gauge::default(),
            log_entries_waiting: Gauge::default(),
            log_entries_lost: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    /// Updates the counters for an event, then emits it.
    pub fn count_and_emit(&self, event: Event) {
        // Counted first, so that a test or an operator who has seen the log line finds it in the metrics.
        self.observe(&event);
        events::emit(event);
    }

    fn observe(&self, event: &Event) {
        match event {
            Event::RequestFinished { usage, .. } => self.request(usage),
            Event::RequestRefused { status, kind, .. } => self.refusal(*status, kind),
            Event::BudgetThreshold { budget, .. } => {
                let budget = budget.to_string();
                self.budget_thresholds
                    .get_or_create(&BudgetLabels { budget })
                    .inc();
            }
            _ => {}
        }
    }

    fn request(&self, row: &UsageRow) {
        let counters = self.request_counters(row);
        counters.requests.inc();
        counters.tenant_requests.inc();
        counters.latency.observe(row.latency.as_secs_f64());
        if let Some(first_byte) = row.first_byte {
            let labels = || EndpointLabels {
                endpoint: row.endpoint.label(),
            };
            let histogram = counters
                .first_byte
                .get_or_init(|| self.first_byte.get_or_create_owned(&labels()));
            histogram.observe(first_byte.as_secs_f64());
        }
        for (direction, tokens, counters) in [
            ("prompt", row.prompt_tokens, &counters.prompt_tokens),
            (
                "completion",
                row.completion_tokens,
                &counters.completion_tokens,
            ),
        ] {
            if let Some(tokens) = tokens {
                let counters = counters.get_or_init(|| self.token_counters(row, direction));
                counters.of_model.inc_by(tokens);
                counters.of_tenant.inc_by(tokens);
            }
        }
        if let Some(cost) = row.cost.filter(|cost| *cost > Money::ZERO) {
            self.cost
                .get_or_create(&cost_labels(row))
                .inc_by(cost.nanos().unsigned_abs());
        }
        if let Some(cause) = row.cause {
            let upstream = row.upstream.as_ref().map_or("none", Name::as_str);
            self.upstream_failures
                .get_or_create(&CauseLabels {
                    upstream: upstream.to_owned(),
                    cause: cause.to_string(),
                })
                .inc();
        }
    }

    fn request_counters(&self, row: &UsageRow) -> Arc<RequestCounters> {
        let key = RequestKey {
            endpoint: row.endpoint,
            model: row.model.clone(),
            tenant: row.tenant.clone(),
            outcome: row.outcome,
        };
        if let Some(known) = read(&self.of_requests).get(&key) {
            return Arc::clone(known);
        }
        let endpoint = row.endpoint.label();
        let counters = Arc::new(RequestCounters {
            requests: self.requests.get_or_create_owned(&RequestLabels {
                endpoint,
                model: model_label(row),
                outcome: row.outcome.as_str(),
            }),
            tenant_requests: self.tenant_requests.get_or_create_owned(&TenantLabels {
                tenant: row.tenant.to_string(),
            }),
            latency: self
                .latency
                .get_or_create_owned(&EndpointLabels { endpoint }),
            first_byte: OnceLock::new(),
            prompt_tokens: OnceLock::new(),
            completion_tokens: OnceLock::new(),
        });
        // Two requests at once may both come here: their counters are the same ones, whichever is kept.
        write(&self.of_requests).insert(key, Arc::clone(&counters));
        counters
    }

    fn token_counters(&self, row: &UsageRow, direction: &'static str) -> TokenCounters {
        TokenCounters {
            of_model: self.tokens.get_or_create_owned(&TokenLabels {
                model: model_label(row),
                direction,
            }),
            of_tenant: self.tenant_tokens.get_or_create_owned(&TenantTokenLabels {
                tenant: row.tenant.to_string(),
                direction,
            }),
        }
    }

    fn refusal(&self, status: u16, r#type: &'static str) {
        let labels = RefusalLabels { status, r#type };
        self.refusals.get_or_create(&labels).inc();
    }

    /// Counts a request that a limit refused.
    pub fn limit_refused(&self, refusal: &LimitRefusal) {
        let labels = LimitLabels {
            scope: refusal.scope,
            reason: refusal.what.as_str(),
        };
        self.limit_refusals.get_or_create(&labels).inc();
    }

    /// Counts an answer whose cost is not known, although there is a price table.
    pub fn answer_without_price(&self, row: &UsageRow) {
        self.unpriced.get_or_create(&cost_labels(row)).inc();
    }

    /// Counts a request that a budget has no room for.
    pub fn over_budget(&self, budget: &Name) {
        let budget = budget.to_string();
        self.budget_refusals
            .get_or_create(&BudgetLabels { budget })
            .inc();
    }

    /// Counts an attempt to verify an upstream.
    pub fn upstream_verification(&self, upstream: &Name, result: VerificationResult) {
        let result = match result {
            VerificationResult::Verified => "verified",
            VerificationResult::Rejected => "rejected",
            VerificationResult::Unreachable => "unreachable",
            VerificationResult::Busy => "busy",
        };
        self.verifications
            .get_or_create(&VerificationLabels {
                upstream: upstream.to_string(),
                result,
            })
            .inc();
    }

    /// Counts a token whose signature and claims were checked; `issuer` is `None` if it names no configured one. Tokens in
    /// the cache of verified tokens are not counted.
    pub fn token_checked(&self, issuer: Option<&Name>, result: Result<(), TokenFault>) {
        let labels = IssuerLabels {
            issuer: issuer.map_or("unknown", Name::as_str).to_owned(),
            result: result.map_or_else(TokenFault::code, |()| "accepted"),
        };
        self.identity_tokens.get_or_create(&labels).inc();
    }

    /// Counts an attempt to fetch an issuer's keys.
    pub fn identity_fetched(&self, issuer: &Name, result: Result<(), IdentityFailure>) {
        let labels = IssuerLabels {
            issuer: issuer.to_string(),
            result: result.map_or_else(IdentityFailure::as_str, |()| "fetched"),
        };
        self.identity_fetches.get_or_create(&labels).inc();
    }

    /// Counts a decision of the authorization policy, by the code of the rule that made it.
    pub fn authorization_decided(&self, allowed: bool, code: &Name) {
        let labels = AuthorizationLabels {
            decision: if allowed { "allow" } else { "deny" },
            code: CodeLabel(code.clone()),
        };
        self.authorizations.get_or_create(&labels).inc();
    }

    /// Records how long the hardware took for one report.
    pub fn observe_attestation(&self, took: Duration) {
        self.attestation_time.observe(took.as_secs_f64());
    }

    /// Sets the gauges to what the ledger and the audit log count.
    pub fn observe_store(&self, store: &StoreCounts) {
        self.rows_lost.set(store.rows_lost);
        self.rows_waiting.set(store.rows_waiting as u64);
        self.oldest_row_age.set(store.oldest_row_age.as_secs_f64());
        self.log_entries_waiting.set(store.log_entries_waiting);
        self.log_entries_lost.set(store.log_entries_lost);
    }

    /// Counts a request for a report that was refused because the hardware is busy.
    pub fn report_refused(&self, reason: ReportRefusal) {
        let reason = reason.as_str();
        let labels = ReportRefusalLabels { reason };
        self.report_refusals.get_or_create(&labels).inc();
    }

    /// The exposition text (OpenMetrics 1.0).
    pub fn render(&self) -> String {
        let registry = lock(&self.registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)
            .expect("writing to a String does not fail");
        text
    }

    /// The name and description of every metric, whether or not it has a value yet.
    pub fn list(&self) -> Vec<(String, &'static str)> {
        let listed = lock(&self.listed);
        listed.clone()
    }

    fn register(&self) {
        let mut registry = lock(&self.registry);
        let mut listed = lock(&self.listed);
        let mut r = Registering {
            registry: registry.sub_registry_with_prefix(PREFIX),
            listed: &mut listed,
        };
        r.register(
            "requests",
            "Inference requests that ended",
            self.requests.clone(),
        );
        r.register_with_unit(
            "request_duration",
            "From admission to the last byte",
            Unit::Seconds,
            self.latency.clone(),
        );
        r.register_with_unit(
            "first_byte",
            "From admission to the first response byte",
            Unit::Seconds,
            self.first_byte.clone(),
        );
        r.register(
            "tokens",
            "Tokens as upstreams reported them, or as events were counted where one reported none",
            self.tokens.clone(),
        );
        r.register(
            "tenant_requests",
            "Inference requests of a tenant that ended, also those that nothing else is kept of",
            self.tenant_requests.clone(),
        );
        r.register(
            "tenant_tokens",
            "Tokens of a tenant, also of requests that nothing else is kept of",
            self.tenant_tokens.clone(),
        );
        r.register_with_unit(
            "cost",
            "What requests cost, in billionths of the price table's unit",
            Unit::Other("nanos".to_owned()),
            self.cost.clone(),
        );
        r.register(
            "unpriced_answers",
            "Answers that have no cost because the price table has no price of their model at their upstream",
            self.unpriced.clone(),
        );
        r.register(
            "budget_refusals",
            "Requests that a budget had no room for",
            self.budget_refusals.clone(),
        );
        r.register(
            "budget_thresholds",
            "How often a budget passed its soft threshold: once in a window",
            self.budget_thresholds.clone(),
        );
        r.register(
            "upstream_failures",
            "What upstreams did wrong, one for each request that met it",
            self.upstream_failures.clone(),
        );
        r.register(
            "refusals",
            "Requests refused before they were admitted",
            self.refusals.clone(),
        );
        r.register(
            "limit_refusals",
            "Requests that a rate limit refused",
            self.limit_refusals.clone(),
        );
        r.register(
            "upstream_verifications",
            "Attempts to verify an upstream",
            self.verifications.clone(),
        );
        r.register(
            "identity_tokens",
            "Tokens of identity providers whose signature and claims were checked; cached ones are not counted again",
            self.identity_tokens.clone(),
        );
        r.register(
            "identity_fetches",
            "Attempts to fetch an identity provider's keys",
            self.identity_fetches.clone(),
        );
        r.register(
            "authorization_decisions",
            "Inference requests that the authorization policy decided about",
            self.authorizations.clone(),
        );
        r.register(
            "in_flight",
            "Inference requests in flight",
            self.in_flight.clone(),
        );
        r.register(
            "connections",
            "Open client connections",
            self.connections.clone(),
        );
        r.register("epoch", "Number of the active epoch", self.epoch.clone());
        r.register(
            "attestation_queue",
            "Reports in work or waiting for the hardware",
            self.attestation_queue.clone(),
        );
        r.register_with_unit(
            "attestation_duration",
            "Time the hardware took for a report",
            Unit::Seconds,
            self.attestation_time.clone(),
        );
        r.register(
            "attestation_refused",
            "Requests for a report that were refused because the hardware is busy",
            self.report_refusals.clone(),
        );
        r.register(
            "ledger_rows_lost",
            "Rows the database did not take",
            self.rows_lost.clone(),
        );
        r.register(
            "ledger_rows_waiting",
            "Rows that wait to be committed",
            self.rows_waiting.clone(),
        );
        r.register_with_unit(
            "ledger_oldest_row_age",
            "For how long the oldest of them has waited",
            Unit::Seconds,
            self.oldest_row_age.clone(),
        );
        r.register(
            "audit_entries_waiting",
            "Receipts, refusals and notes that wait to be entered into the audit log",
            self.log_entries_waiting.clone(),
        );
        r.register(
            "audit_entries_lost",
            "Receipts and notes that the audit log did not take",
            self.log_entries_lost.clone(),
        );
    }
}
