//! A connection before and after its peer is trusted: two types, so that no request can be sent on the first.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::error::ChannelError;
use crate::lease::Lease;
use crate::lock::lock;
use crate::origin::Origin;
use crate::report;
use crate::settings::Trust;
use crate::transport::Connection;
use attest_core::{
    Appraiser, Channel, EndorsementCache, Freshness, Nonce, SpkiDigest, TrustedPeer, UnixTime,
};

/// An open connection to the holder of the key [`spki`](Self::spki). It can fetch a report
/// and nothing else.
pub struct ObservedConnection {
    http: Connection,
    spki: SpkiDigest,
    certificate: CertificateDer<'static>,
    origin: Origin,
    report_timeout: Duration,
}

impl ObservedConnection {
    pub(crate) fn new(
        http: Connection,
        spki: SpkiDigest,
        certificate: CertificateDer<'static>,
        origin: Origin,
        report_timeout: Duration,
    ) -> Self {
        ObservedConnection {
            http,
            spki,
            certificate,
            origin,
            report_timeout,
        }
    }

    /// The key whose possession the peer proved in the handshake of this connection.
    pub fn spki(&self) -> SpkiDigest {
        self.spki
    }

    /// The leaf certificate that the peer presented. Only its key is meaningful.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Fetches the attestation report for `nonce`, collateral included, on this connection.
    pub async fn fetch_report(&mut self, nonce: &Nonce) -> Result<Vec<u8>, ChannelError> {
        report::fetch(&mut self.http, &self.origin, nonce, self.report_timeout).await
    }

    /// Fetches a report for `nonce` and appraises it, for this connection's key, at `now`. Rejected evidence is
    /// [`ChannelError::Rejected`] with the verdict, and closes the connection.
    pub async fn verify(
        mut self,
        trust: &Arc<Trust>,
        nonce: Nonce,
        now: UnixTime,
    ) -> Result<AttestedConnection, ChannelError> {
        let report = self.fetch_report(&nonce).await?;
        let cache = SharedCache::default();
        let peer = appraise(trust, &cache, report, nonce, self.spki, &self.origin, now).await?;
        Ok(self.trusting(Arc::new(peer)))
    }

    pub(crate) fn into_http(self) -> Connection {
        self.http
    }

    /// For a peer that was verified on another connection with the same key.
    pub(crate) fn trusting(self, peer: Arc<TrustedPeer>) -> AttestedConnection {
        AttestedConnection {
            http: self.http,
            origin: self.origin,
            peer,
        }
    }
}

/// A connection to a peer that is trusted under its own key.
pub struct AttestedConnection {
    pub(crate) http: Connection,
    pub(crate) origin: Origin,
    pub(crate) peer: Arc<TrustedPeer>,
}

impl AttestedConnection {
    pub fn peer(&self) -> &Arc<TrustedPeer> {
        &self.peer
    }

    /// For a single request; the connection closes after it.
    pub fn into_lease(self) -> Lease {
        Lease::single_use(self.http, self.peer, self.origin)
    }
}

/// The endorsements that an origin's earlier reports were verified with. Shared by all verifications of one
/// channel; locked only to copy it and to merge into it.
pub(crate) type SharedCache = Arc<Mutex<EndorsementCache>>;

/// The appraisal is milliseconds of signature checks over bytes from outside: it runs off the
/// asynchronous threads. Should it panic, the key is not accepted and no other task ends.
pub(crate) async fn appraise(
    trust: &Arc<Trust>,
    cache: &SharedCache,
    report: Vec<u8>,
    nonce: Nonce,
    spki: SpkiDigest,
    origin: &Origin,
    now: UnixTime,
) -> Result<TrustedPeer, ChannelError> {
    let (trust, cache) = (Arc::clone(trust), Arc::clone(cache));
    let origin = origin.clone();
    let appraised = tokio::task::spawn_blocking(move || {
        let appraiser = Appraiser {
            roots: &trust.roots,
            policy: &trust.policy,
            collateral: trust.collateral.as_ref(),
            now,
        };
        let channel = Channel::Tls {
            spki,
            host: origin.host(),
        };
        let freshness = Freshness::Challenged(nonce);
        // Appraised with a copy: the lock is not held during the signature checks, so verifications of several
        // keys do not wait for each other.
        let mut endorsements = lock(&cache).clone();
        let appraisal = appraiser.report_with_cache(&report, freshness, channel, &mut endorsements);
        lock(&cache).merge(endorsements);
        appraisal.trusted()
    });
    match appraised.await {
        Ok(Ok(peer)) => Ok(peer),
        Ok(Err(verdict)) => Err(ChannelError::Rejected(Arc::from(verdict))),
        Err(_) => Err(ChannelError::VerificationFailed),
    }
}
