//! The contract a connection is opened under.
//!
//! Keys, keyset, configuration and retention policy belong together and are never changed: whatever is to change
//! begins a new [`Epoch`]. Connections and requests hold the one they came in under until they end.

mod build;
mod certificate;
mod lifetime;

use std::sync::Arc;

use attest_core::retention::ActivePolicy;
use attest_core::{Keyset, Sha256Digest, SigningKey, SpkiDigest, UnixTime};

use crate::evidence::EpochEvidence;
use gateway_base::config::Config;
use gateway_base::request::CacheSalts;
use gateway_store::audit::EpochLog;
use gateway_upstream::route::Routes;

pub use build::{EpochError, begin, renew};
pub(crate) use certificate::names_fit;
pub use lifetime::{Due, Lifetime};

/// One contract, from its keys to its routes.
pub struct Epoch {
    pub number: u64,
    pub keyset: Keyset,
    pub keyset_digest: Sha256Digest,
    /// Signs receipts and reports.
    pub signing_key: Arc<SigningKey>,
    lifetime: Lifetime,
    /// What outlives requests of this epoch.
    pub retention: Arc<ActivePolicy>,
    pub config: Arc<Config>,
    /// Digest of the published configuration; part of the keyset's subject.
    pub config_digest: Sha256Digest,
    /// The published configuration.
    pub config_document: String,
    pub routes: Arc<Routes>,
    /// Derives what keeps tenants apart in an engine's prefix cache.
    pub cache_salts: CacheSalts,
    pub tls: Arc<rustls::ServerConfig>,
    pub spki: SpkiDigest,
    pub keyset_header: http::HeaderValue,
    pub(crate) evidence: EpochEvidence,
    /// The audit log's heads, as long as this epoch is in force.
    pub log: Arc<EpochLog>,
}

impl Epoch {
    /// From when to when its keyset is valid, by a clock that cannot be set.
    pub fn lifetime(&self) -> &Lifetime {
        &self.lifetime
    }

    /// When the keyset expires.
    pub fn not_after(&self) -> UnixTime {
        self.lifetime.not_after
    }

    /// When the next epoch begins, if the clock is not set: before `not_after`, by the time old connections get to
    /// finish.
    pub fn renew_at(&self) -> UnixTime {
        self.lifetime.renew_at
    }
}
