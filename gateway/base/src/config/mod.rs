//! `sealgate.toml`, read once and strictly.
//!
//! [`Config::load`] turns the file into small structs, one per room, or into the list of everything that is
//! wrong with it: unknown keys, wrong types, values out of range and contradictions, each with line, key and
//! reason. Files the configuration names (policies, roots, API keys) are read here too, so that a
//! configuration that loads is one that can be served. Relative paths are relative to the file.
//!
//! What of it is published is decided in [`document`]; secrets are not.

mod document;
mod explain;
pub mod files;
mod log;
mod mistakes;
mod model;
mod parse;
mod problem;
mod reach;
mod read;
mod retention;
mod salt;
mod secret;
mod tee;
mod units;

use crate::request::Name;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use attest_channel::Trust;
use attest_core::{Serving, SourceProvenance};

use harden::Fact;

pub use log::{Format, Level, Log};
pub use model::{ApiKey, BaseUrl, Model, Scheme, Upstream, UrlError};
pub use parse::known_keys;
pub use problem::{ConfigError, InFile, Lines, Problem};
pub use retention::{
    NamedPolicy, Retention, built_in, policy_problem, read_policy, signature_file,
};
pub use salt::ClientCacheSalt;
pub use secret::Sensitive;
pub use tee::{CollateralSettings, EventLogChoice, Gpus, Tee, TeeKind};
pub use units::{UnitError, parse_duration, parse_size, show_duration, show_size};

/// Everything `sealgate.toml` says, defaults filled in.
#[derive(Debug)]
pub struct Config {
    /// Where it was read from.
    pub file: PathBuf,
    /// What can be served and may not be what was meant.
    pub warnings: Vec<Problem>,
    /// Where its keys stand.
    pub lines: Lines,
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
    pub log: Log,
    pub telemetry: Telemetry,
    /// How upstreams are judged, by the name models refer to.
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
    /// What must hold of the process for it to serve.
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
    /// All others: still in their TLS handshake, silent, or of clients without an API key.
    pub max_unauthenticated: usize,
    /// Inference requests in flight in the whole process.
    pub max_concurrent: usize,
    /// Inference requests in flight for one API key.
    pub max_concurrent_per_key: usize,
    /// Challenged reports that may wait for the hardware, of callers with a key and of others each.
    pub attest_queue: usize,
    /// Those of one address, or of one API key.
    pub attest_queue_per_address: usize,
    /// What becomes of a `cache_salt` in a request.
    pub client_cache_salt: ClientCacheSalt,
}

/// `[timeouts]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS to an upstream.
    pub connect: Duration,
    /// Fetching an upstream's attestation report.
    pub report: Duration,
    /// From the last request byte sent upstream to the first byte of its response.
    pub first_byte: Duration,
    /// Between two pieces of an upstream's response.
    pub idle: Duration,
    /// Silence of an engine after which a stream's client gets a comment; zero for never.
    pub stream_comment: Duration,
    /// A client's TLS handshake and each of its request heads.
    pub client_header: Duration,
    /// In which each further 8 KiB of a client's request body, or its rest, arrive.
    pub client_body: Duration,
    /// In which a client takes at least 16 KiB of the response that waits for it.
    pub client_write: Duration,
    /// An idle pooled upstream connection.
    pub pool_idle: Duration,
}

/// `[receipts]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipts {
    /// How long receipts, and the sessions they cite, can be fetched.
    pub keep: Duration,
}

/// `[ledger]`: how long the databases may fail, and what is held meanwhile.
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

/// What becomes of requests that are being answered when their API key is revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRevoke {
    /// They are answered to their end.
    #[default]
    Finish,
    /// Their responses are cut off.
    Cut,
}

impl OnRevoke {
    pub const CHOICES: [(&str, Self); 2] = [("finish", Self::Finish), ("cut", Self::Cut)];

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
    /// Where administrators are answered, over TLS with the epoch's key; none unless configured.
    pub listen: Option<SocketAddr>,
}

/// `[attestation.NAME]`: policy and roots by which upstreams are judged.
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
