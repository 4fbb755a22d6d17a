//! The contract that a connection is opened under.
//!
//! Keys, keyset, configuration and retention policy belong together and never change: a change begins a new [`Epoch`].
//! A connection and its requests hold the epoch they began under (an `Arc`) until they end; when the last of them is
//! dropped, so are the epoch's keys.

mod build;
mod certificate;
mod ended_heads;
mod lifetime;
mod receipt_signing;

use std::sync::Arc;

use attest_core::retention::ActivePolicy;
use attest_core::{Keyset, Sha256Digest, SigningKey, SpkiDigest, UnixTime};

use crate::evidence::EpochEvidence;
use gateway_authorization::Authorization;
use gateway_base::config::Config;
use gateway_base::request::CacheSalts;
use gateway_identity::Identities;
use gateway_store::audit::EpochLog;
use gateway_upstream::route::Routes;

pub(crate) use build::renew;
pub use build::{EpochError, begin};
pub(crate) use certificate::names_fit;
pub use ended_heads::EndedHeads;
pub(crate) use lifetime::{Due, Lifetime};
pub use receipt_signing::Deferral;
use receipt_signing::DeferredSigning;

/// One contract: keys, configuration, policy, routes.
pub struct Epoch {
    pub number: u64,
    pub keyset: Keyset,
    pub keyset_digest: Sha256Digest,
    /// Signs receipts and reports.
    pub signing_key: Arc<SigningKey>,
    lifetime: Lifetime,
    /// Decides what is kept of requests of this epoch.
    pub retention: Arc<ActivePolicy>,
    pub config: Arc<Config>,
    /// Digest of the published configuration; part of the keyset's subject.
    pub config_digest: Sha256Digest,
    /// The published configuration.
    pub config_document: String,
    pub routes: Arc<Routes>,
    /// Decides which requests are served.
    pub authorization: Arc<Authorization>,
    /// Verifies tokens of the configured identity providers.
    pub identities: Arc<Identities>,
    /// Derives the salts that separate tenants in an engine's prefix cache.
    pub cache_salts: CacheSalts,
    pub tls: Arc<rustls::ServerConfig>,
    pub spki: SpkiDigest,
    pub keyset_header: http::HeaderValue,
    pub(crate) evidence: EpochEvidence,
    /// The audit log's heads, while this epoch is active.
    pub log: Arc<EpochLog>,
    deferred: DeferredSigning,
}

impl Epoch {
    /// `Some` if a receipt may be stored now and signed later. Hold it until the receipt is queued for the audit log.
    pub fn defer_signing(&self) -> Option<Deferral<'_>> {
        self.deferred.defer()
    }

    /// From now on every receipt is signed at once: another epoch is about to begin. Returns whether there can be receipts
    /// that are not signed.
    pub(crate) fn stop_deferring(&self) -> bool {
        self.deferred.stop()
    }

    /// This epoch stays active.
    pub(crate) fn resume_deferring(&self) {
        self.deferred.resume();
    }

    /// When its keyset is valid, and how long it lasts.
    pub fn lifetime(&self) -> &Lifetime {
        &self.lifetime
    }

    /// When the keyset expires.
    pub fn not_after(&self) -> UnixTime {
        self.lifetime.not_after
    }

    /// When the next epoch begins, unless the clock is set: earlier than `not_after` by the time that old connections get
    /// to finish.
    pub fn renew_at(&self) -> UnixTime {
        self.lifetime.renew_at
    }
}
