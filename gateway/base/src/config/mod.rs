//! `sealgate.toml`, read once and strictly.
//!
//! [`Config::load`] parses the file into one small struct per section, or returns every problem at once: unknown
//! keys, wrong types, values out of range and contradictions, each with line, key and reason.
//! The files that the configuration names (policies, roots, API keys) are read here too, so that a configuration that
//! loads can be served. Relative paths are relative to the file.
//!
//! [`document`] defines which part of it is published. Secrets are not published.

mod accessible_files;
mod authorization;
mod document;
mod expiry;
mod explain;
pub mod files;
mod hints;
pub mod identity;
mod model;
mod parse;
mod problem;
mod read;
mod retention;
mod secret;
mod tee;
mod units;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::quota::PriceTable;
use crate::request::Name;
use attest_channel::Trust;
use attest_core::{Serving, SourceProvenance};
use harden::Fact;

pub use authorization::{Authorization, NamedAuthorizationPolicy};
pub use expiry::{ExpiryError, parse_expiry, parse_overlap};
pub use model::{ApiKey, BaseUrl, Model, Scheme, Upstream, UrlError};
pub use parse::{known_keys, parse_prices, provider_url};
pub use problem::{ConfigError, InFile, KeyLines, Problem};
pub use retention::{
    NamedPolicy, Retention, built_in, policy_problems, read_policy, signature_file,
};
pub use secret::Sensitive;
pub use tee::{CollateralSettings, EventLogChoice, Gpus, Tee, TeeKind};
pub use units::show_duration;
pub(crate) use units::show_size;

/// The parsed `sealgate.toml`, with defaults filled in.
#[derive(Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// Settings that are valid but probably not intended.
    pub warnings: Vec<Problem>,
    /// The line of each key.
    pub lines: KeyLines,
    pub server: Server,
    pub tee: Tee,
    pub provenance: SourceProvenance,
    pub retention: Retention,
    pub hardening: Hardening,
    pub limits: Limits,
    pub timeouts: Timeouts,
    pub receipts: Receipts,
    pub ledger: LedgerBounds,
    pub keys: Keys,
    pub health: HealthListener,
    pub metrics: MetricsListener,
    pub admin: AdminListener,
    pub identity: identity::Identity,
    pub prices: Prices,
    pub authorization: Authorization,
    pub log: Log,
    pub telemetry: Telemetry,
    /// Policies and roots for verifying upstreams, by the name that models refer to.
    pub attestation: BTreeMap<Name, Arc<NamedTrust>>,
    pub models: Vec<Arc<Model>>,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub listen: SocketAddr,
    /// DNS names and IP addresses of the certificate.
    pub names: Vec<String>,
    /// Whether the keyset restricts the TLS key to the one name.
    pub bind_domain: bool,
    pub state_dir: PathBuf,
    pub mode: Serving,
    pub epoch_lifetime: Duration,
    pub drain_timeout: Duration,
}

/// `[hardening]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardening {
    /// Restrictions that the process checks before it serves.
    pub require: Vec<Fact>,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub max_body: u64,
    /// The most bytes of request bodies held at a time, over all requests.
    pub max_body_total: u64,
    /// The largest request head, in bytes.
    pub max_header: usize,
    /// The most fields of a request head.
    pub max_header_fields: usize,
    /// Connections on which a request was authenticated.
    pub max_connections: usize,
    /// All other connections: in their TLS handshake, idle before a request, or without an API key.
    pub max_unauthenticated: usize,
    /// Inference requests in flight in the whole process.
    pub max_concurrent: usize,
    /// Inference requests in flight for one API key.
    pub max_concurrent_per_key: usize,
    /// Queue length of challenged reports. Callers with an API key and callers without one have a queue each.
    pub attest_queue: usize,
    /// How many of them one address, or one API key, may have in the queue.
    pub attest_queue_per_address: usize,
    /// How a `cache_salt` in a request is handled.
    pub client_cache_salt: ClientCacheSalt,
}

/// `[timeouts]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Time limit for TCP and TLS to an upstream.
    pub connect: Duration,
    /// Time limit for fetching an upstream's attestation report.
    pub report: Duration,
    /// From the last request byte sent upstream to the first byte of its response.
    pub first_byte: Duration,
    /// Between two pieces of an upstream's response.
    pub idle: Duration,
    /// Idle time of an engine after which the client of a stream gets a comment; zero for never.
    pub stream_comment: Duration,
    /// Time limit for a client's TLS handshake and for each of its request heads.
    pub client_header: Duration,
    /// Time limit for each further 8 KiB of a client's request body, or its rest.
    pub client_body: Duration,
    /// Time limit in which a client reads at least 16 KiB of its pending response.
    pub client_write: Duration,
    /// How long an idle upstream connection, attested or not, stays in the pool. Common servers (uvicorn among them) close
    /// theirs after five seconds; closed earlier, no request is written to a connection that is closing.
    pub pool_idle: Duration,
}

/// `[receipts]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipts {
    /// How long receipts, and the sessions they cite, can be fetched.
    pub keep: Duration,
    pub sign: ReceiptSigning,
}

/// When the receipts that are stored are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptSigning {
    /// At the end of each request.
    #[default]
    Eager,
    /// When a receipt is fetched for the first time, while it is in memory. Later the audit log proves it.
    OnFetch,
}

impl ReceiptSigning {
    pub(crate) const CHOICES: [(&str, Self); 2] =
        [("eager", Self::Eager), ("on_fetch", Self::OnFetch)];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::OnFetch => "on_fetch",
        }
    }
}

/// `[ledger]`: how long the databases may fail, and how many rows are queued meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerBounds {
    /// The most rows that wait in memory to be committed.
    pub max_waiting_rows: usize,
    /// The service is not ready once a database has accepted nothing for this long.
    pub unready_after: Duration,
    /// How long a stop waits for a database that accepts nothing.
    pub stop_timeout: Duration,
}

impl Default for LedgerBounds {
    fn default() -> Self {
        Self {
            max_waiting_rows: 100_000,
            unready_after: Duration::from_secs(15),
            stop_timeout: Duration::from_secs(30),
        }
    }
}

/// `[keys]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    pub on_revoke: OnRevoke,
}

/// How requests in flight are handled when their API key is revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRevoke {
    /// They are answered to their end.
    #[default]
    Finish,
    /// Their responses are cut off.
    Cut,
}

impl OnRevoke {
    pub(crate) const CHOICES: [(&str, Self); 2] = [("finish", Self::Finish), ("cut", Self::Cut)];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Finish => "finish",
            Self::Cut => "cut",
        }
    }
}

/// `[health]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthListener {
    /// A plain listener for `/healthz` and `/readyz` alone; none unless configured.
    pub listen: Option<SocketAddr>,
}

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsListener {
    /// A plain listener for Prometheus; none unless configured, and only on loopback.
    pub listen: Option<SocketAddr>,
}

/// `[telemetry]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// The base URL of an OTLP/HTTP collector; nothing is sent unless configured, and without TLS to loopback only.
    pub otlp: Option<BaseUrl>,
    /// From one batch to the next.
    pub every: Duration,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminListener {
    /// The address of the administrators' API, over TLS with the epoch's key; none unless configured.
    pub listen: Option<SocketAddr>,
}

/// `[prices]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    /// What requests cost; none unless configured.
    pub table: Option<Arc<PriceTable>>,
    /// Whether an answer that is complete when its head is sent has its cost in a header.
    pub cost_header: bool,
}

/// `[attestation.NAME]`: the policy and the roots with which upstreams are verified.
pub struct NamedTrust {
    pub name: Name,
    pub policy_file: PathBuf,
    pub roots_dir: Option<PathBuf>,
    pub trust: Arc<Trust>,
}

impl std::fmt::Debug for NamedTrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedTrust")
            .field("name", &self.name)
            .field("policy_file", &self.policy_file)
            .finish_non_exhaustive()
    }
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: Format,
    /// Events below this level are not logged.
    pub level: Level,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// The level of an event, and the lowest level that is logged. Ordered from the most severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// `limits.client_cache_salt`: how a caller's `cache_salt` is handled.
///
/// A caller's salt never reaches an engine unchanged: it could select another tenant's part of the prefix cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCacheSalt {
    /// It is taken out of the request.
    #[default]
    Strip,
    /// A request that has one is refused.
    Refuse,
    /// The engine gets a salt derived from the tenant and the caller's salt. So it partitions the tenant's part of the
    /// cache and reaches no other. For enclaves behind an aggregator, whose tenants they cannot see.
    Bind,
}

impl ClientCacheSalt {
    pub(crate) const CHOICES: [(&'static str, Self); 3] = [
        ("strip", Self::Strip),
        ("refuse", Self::Refuse),
        ("bind", Self::Bind),
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strip => "strip",
            Self::Refuse => "refuse",
            Self::Bind => "bind",
        }
    }
}
