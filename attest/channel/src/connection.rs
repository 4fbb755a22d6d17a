//! A connection before and after its peer is trusted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use attest_core::{
    Appraiser, Channel, Endorsements, Freshness, Nonce, SpkiDigest, TrustedPeer, UnixTime,
};
use rustls_pki_types::CertificateDer;

use crate::error::ChannelError;
use crate::http1::Http1;
use crate::{Lease, Origin, Trust, report};

/// An open connection to whoever holds the key [`spki`](Self::spki). Good for fetching a report
/// and for nothing else.
pub struct ObservedConnection {
    http: Http1,
    spki: SpkiDigest,
    certificate: CertificateDer<'static>,
    origin: Origin,
    report_timeout: Duration,
}

impl ObservedConnection {
    pub(crate) fn new(
        http: Http1,
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

    /// The leaf certificate that was shown. Only its key means anything.
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

    /// Fetches a report for `nonce` and judges it, for this connection's key, at `now`. Rejection is
    /// [`ChannelError::Rejected`] with the verdict, and closes the connection.
    pub async fn verify(
        mut self,
        trust: &Arc<Trust>,
        nonce: Nonce,
        now: UnixTime,
    ) -> Result<AttestedConnection, ChannelError> {
        let report = self.fetch_report(&nonce).await?;
        let known = Known::default();
        let peer = appraise(trust, &known, report, nonce, self.spki, &self.origin, now).await?;
        Ok(self.trusting(Arc::new(peer)))
    }

    pub(crate) fn into_http(self) -> Http1 {
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
    pub(crate) http: Http1,
    pub(crate) origin: Origin,
    pub(crate) peer: Arc<TrustedPeer>,
}

impl AttestedConnection {
    pub fn peer(&self) -> &Arc<TrustedPeer> {
        &self.peer
    }

    /// For a single request; the connection closes after it.
    pub fn into_lease(self) -> Lease {
        Lease::alone(self)
    }
}

/// What an origin's reports were found to be endorsed by, for the next of them.
pub(crate) type Known = Arc<Mutex<Endorsements>>;

/// The appraisal is milliseconds of signature checks over bytes from outside: it runs off the
/// asynchronous threads, and should it ever panic, that is no acceptance and takes nobody along.
pub(crate) async fn appraise(
    trust: &Arc<Trust>,
    known: &Known,
    report: Vec<u8>,
    nonce: Nonce,
    spki: SpkiDigest,
    origin: &Origin,
    now: UnixTime,
) -> Result<TrustedPeer, ChannelError> {
    let (trust, known) = (Arc::clone(trust), Arc::clone(known));
    let origin = origin.clone();
    let judged = tokio::task::spawn_blocking(move || {
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
        // Judged on a copy: nobody waits for another's judgement.
        let mut endorsements = lock(&known).clone();
        let appraisal = appraiser.report_knowing(&report, freshness, channel, &mut endorsements);
        lock(&known).absorb(endorsements);
        appraisal.trusted()
    });
    match judged.await {
        Ok(Ok(peer)) => Ok(peer),
        Ok(Err(verdict)) => Err(ChannelError::Rejected(Arc::from(verdict))),
        Err(_) => Err(ChannelError::VerificationFailed),
    }
}

fn lock(known: &Known) -> MutexGuard<'_, Endorsements> {
    // What is in there is whole between any two statements.
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
