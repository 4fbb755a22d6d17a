//! One origin: the keys that are trusted behind it, and the pool of connections to them.
//!
//! Dialing, fetching and appraising happen outside their locks. The lock of [`Peers`] is taken under that of the pool, never the other way round.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use tokio::sync::watch;

use crate::clock::Clock;
use crate::connection::{AttestedConnection, ObservedConnection, SharedCache, appraise};
use crate::dial::Dialer;
use crate::error::ChannelError;
use crate::lease::{Lease, LeaseOwner, Reconnecting};
use crate::lock::lock;
use crate::origin::Origin;
use crate::peers::{Lookup, Outcome, Peers};
use crate::report;
use crate::settings::{Limits, Timeouts, Trust};
use crate::transport::tcp::TcpDialer;
use crate::transport::{Choice, Connection, Pool, PooledConnection};
use attest_core::{SpkiDigest, TrustedPeer, UnixTime};

/// Whether the caller lets this request go to a trusted peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    Yes,
    No,
}

/// The status of an answer on a connection whose epoch has ended (RFC 9110 §15.5.20).
const EPOCH_ENDED: u16 = http::StatusCode::MISDIRECTED_REQUEST.as_u16();

pub struct AttestedChannel {
    /// A lease needs an `Arc` of the channel to replace a connection that has been closed.
    this: Weak<Self>,
    origin: Origin,
    trust: Arc<Trust>,
    /// Endorsements that were verified already: the same ones come again with every report.
    endorsements: SharedCache,
    dialer: Dialer,
    timeouts: Timeouts,
    limits: Limits,
    clock: Arc<dyn Clock>,
    /// Held for a few map operations, never across an await.
    peers: Mutex<Peers>,
    /// Idle connections, each with the key that its peer proved to hold.
    pool: Arc<Pool<SpkiDigest>>,
}

impl AttestedChannel {
    pub fn new(
        origin: Origin,
        trust: Arc<Trust>,
        timeouts: Timeouts,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Self::with_limits(origin, trust, timeouts, Limits::default(), clock)
    }

    pub fn with_limits(
        origin: Origin,
        trust: Arc<Trust>,
        timeouts: Timeouts,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Self::with_tcp(origin, trust, timeouts, limits, clock, Arc::default())
    }

    /// Opens its connections through `tcp`, which several channels may share.
    pub fn with_tcp(
        origin: Origin,
        trust: Arc<Trust>,
        timeouts: Timeouts,
        limits: Limits,
        clock: Arc<dyn Clock>,
        tcp: Arc<TcpDialer>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| AttestedChannel {
            this: Weak::clone(this),
            origin,
            trust,
            endorsements: SharedCache::default(),
            dialer: Dialer::with_tcp(timeouts, tcp),
            timeouts,
            limits,
            clock,
            peers: Mutex::new(Peers::new(limits)),
            pool: Pool::new(limits.idle_connections, timeouts.idle_pool),
        })
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The peers that are trusted now.
    pub fn peers(&self) -> Vec<Arc<TrustedPeer>> {
        let moment = self.clock.moment();
        self.known().all_trusted(moment)
    }

    /// A connection to a trusted peer, for one request. An unknown key is verified first, on the
    /// connection that presented it.
    pub async fn lease(&self) -> Result<Lease, ChannelError> {
        if let Some(lease) = self.pooled_lease(|_| true) {
            return Ok(lease);
        }
        // Boxed: most leases are of pooled connections, and the futures of the others are large.
        let connection = Box::pin(self.connect()).await?;
        Ok(self.leased(connection))
    }

    /// A connection to a trusted peer for which `accept` returns [`Accept::Yes`]. Behind one address there may be
    /// several peers; a bounded number of connections is opened in search of such a one.
    pub async fn lease_for<W>(&self, accept: &W) -> Result<Lease, ChannelError>
    where
        W: Fn(&TrustedPeer) -> Accept + Sync + ?Sized,
    {
        // The caller's function runs outside the lock: it may block, or call this channel again.
        let accepted: Vec<SpkiDigest> = self
            .peers()
            .iter()
            .filter(|peer| accept(peer) == Accept::Yes)
            .map(|peer| peer.spki())
            .collect();
        if let Some(lease) = self.pooled_lease(|spki| accepted.contains(spki)) {
            return Ok(lease);
        }
        let mut dials = 0;
        // Re-read on each turn: a dial may have found peers that were unknown before.
        while dials < self.dial_limit(&accepted) {
            dials += 1;
            let connection = Box::pin(self.connect()).await?;
            match accept(&connection.peer) {
                Accept::Yes => return Ok(self.leased(connection)),
                Accept::No => drop(self.hold(connection)),
            }
        }
        Err(ChannelError::NoneAccepted)
    }

    /// How many connections to open at most. A peer that is known to exist is worth a search. One
    /// that may not exist (a caller can ask for anything) gets one attempt more than there are known peers.
    fn dial_limit(&self, accepted: &[SpkiDigest]) -> usize {
        match accepted.is_empty() {
            false => self.limits.dials_per_lease,
            true => self.limits.dials_per_lease.min(self.peers().len() + 1),
        }
    }

    /// A trusted peer, verified now if none is known.
    pub async fn ensure_verified(&self) -> Result<Arc<TrustedPeer>, ChannelError> {
        let latest = self
            .peers()
            .into_iter()
            .max_by_key(|peer| peer.expires_at());
        if let Some(peer) = latest {
            return Ok(peer);
        }
        let connection = self.connect().await?;
        let peer = Arc::clone(&connection.peer);
        drop(self.hold(connection));
        Ok(peer)
    }

    /// Verifies again the key that expires first: on an idle connection to it where there is one,
    /// else on a new connection, with the key that its peer presents. The earlier result stays valid until
    /// this succeeds; rejected evidence replaces it at once.
    pub async fn renew(&self) -> Result<Arc<TrustedPeer>, ChannelError> {
        let next = self
            .peers()
            .into_iter()
            .min_by_key(|peer| peer.expires_at());
        let pooled = next.and_then(|peer| {
            let (connection, peer) = self.pooled(|spki| *spki == peer.spki())?;
            Some((connection.into_connection()?, peer.spki()))
        });
        let (mut http, spki) = match pooled {
            Some(pooled) => pooled,
            None => {
                let observed = self.dialer.dial(&self.origin).await?;
                let spki = observed.spki();
                (observed.into_http(), spki)
            }
        };
        // Not claimed as in `connect_once`: requests go on with the result that is still valid.
        let outcome = self.verify(&mut http, spki).await;
        // Only a verdict is recorded. A peer that could not be reached keeps the trust it has until that expires.
        if outcome.is_ok() || matches!(outcome, Err(ChannelError::Rejected(_))) {
            let moment = self.clock.moment();
            self.known().record(spki, &outcome, moment);
        }
        let peer = outcome?;
        drop(self.pool.hold(http, spki));
        Ok(peer)
    }

    async fn connect_to(
        &self,
        peer: &Arc<TrustedPeer>,
    ) -> Result<Option<PooledConnection<SpkiDigest>>, ChannelError> {
        let connection = self.connect().await?;
        let same = Arc::ptr_eq(peer, &connection.peer);
        let connection = self.hold(connection);
        Ok(same.then_some(connection))
    }

    /// The connection as one that the pool keeps after its use.
    fn hold(&self, connection: AttestedConnection) -> PooledConnection<SpkiDigest> {
        self.pool.hold(connection.http, connection.peer.spki())
    }

    fn pooled_lease(&self, accepted: impl Fn(&SpkiDigest) -> bool) -> Option<Lease> {
        let (connection, peer) = self.pooled(accepted)?;
        let origin = self.origin.clone();
        Some(Lease::pooled(
            connection,
            peer,
            origin,
            self.this.upgrade()?,
        ))
    }

    /// An idle connection whose key is trusted now, and for which `accepted` is true.
    fn pooled(
        &self,
        accepted: impl Fn(&SpkiDigest) -> bool,
    ) -> Option<(PooledConnection<SpkiDigest>, Arc<TrustedPeer>)> {
        let moment = self.clock.moment();
        self.pool
            .lease(|spki| match self.known().trusted(spki, moment) {
                Some(peer) if accepted(spki) => Choice::Take(Arc::clone(peer)),
                Some(_) => Choice::Skip,
                // The trust has expired while the connection was idle.
                None => Choice::Close,
            })
    }

    /// Opens a connection and verifies its key unless that key is trusted already.
    async fn connect(&self) -> Result<AttestedConnection, ChannelError> {
        match self.connect_once().await {
            // The peer's epoch ended between the handshake and the request for its report. A new connection has its next
            // key, which is verified instead.
            Err(ChannelError::ReportStatus(status)) if status == EPOCH_ENDED => {
                self.connect_once().await
            }
            outcome => outcome,
        }
    }

    async fn connect_once(&self) -> Result<AttestedConnection, ChannelError> {
        let observed = self.dialer.dial(&self.origin).await?;
        let spki = observed.spki();
        loop {
            // The lock is released before the match: every arm but the first two awaits.
            let found = self.known().find_or_claim(spki, self.clock.moment());
            match found {
                Lookup::Trusted(peer) => return Ok(observed.trusting(peer)),
                Lookup::Refused(error) => return Err(error),
                Lookup::UnderWay(mut outcome) => match outcome.wait_for(Option::is_some).await {
                    Ok(published) => {
                        let published: Option<Outcome> = published.clone();
                        return published
                            .unwrap_or(Err(ChannelError::VerificationFailed))
                            .map(|peer| observed.trusting(peer));
                    }
                    // The request that verified was cancelled: look the key up again.
                    Err(_) => continue,
                },
                Lookup::Claimed(publisher) => {
                    let verification = PendingVerification {
                        channel: self,
                        spki,
                        publisher: Some(publisher),
                    };
                    return verification.verify(observed).await;
                }
            }
        }
    }

    /// Fetches a report on this connection and appraises it for the key of this connection.
    async fn verify(&self, http: &mut Connection, spki: SpkiDigest) -> Outcome {
        let nonce = report::fresh_nonce()?;
        let bytes = report::fetch(http, &self.origin, &nonce, self.timeouts.report).await?;
        // The time is read after fetching: a slow peer must not be appraised at an earlier time.
        let now: UnixTime = self.clock.now();
        appraise(
            &self.trust,
            &self.endorsements,
            bytes,
            nonce,
            spki,
            &self.origin,
            now,
        )
        .await
        .map(Arc::new)
    }

    fn leased(&self, connection: AttestedConnection) -> Lease {
        let Some(channel) = self.this.upgrade() else {
            return connection.into_lease();
        };
        let (peer, origin) = (Arc::clone(&connection.peer), self.origin.clone());
        Lease::fresh(self.hold(connection), peer, origin, channel)
    }

    fn known(&self) -> MutexGuard<'_, Peers> {
        lock(&self.peers)
    }
}

/// The verification of one key, which this request has claimed. Dropped before its end (the request was
/// cancelled), it releases the claim, and one of the requests that wait takes it over.
struct PendingVerification<'a> {
    channel: &'a AttestedChannel,
    spki: SpkiDigest,
    /// `None` once the result is published.
    publisher: Option<watch::Sender<Option<Outcome>>>,
}

impl PendingVerification<'_> {
    async fn verify(
        mut self,
        observed: ObservedConnection,
    ) -> Result<AttestedConnection, ChannelError> {
        let origin = self.channel.origin.clone();
        let mut http = observed.into_http();
        let outcome = self.channel.verify(&mut http, self.spki).await;
        let moment = self.channel.clock.moment();
        self.channel.known().record(self.spki, &outcome, moment);
        // Recorded before it is published: a request that comes in between finds the result, not an unknown key.
        if let Some(publisher) = self.publisher.take() {
            publisher.send_replace(Some(outcome.clone()));
        }
        let peer = outcome?;
        Ok(AttestedConnection { http, origin, peer })
    }
}

impl Drop for PendingVerification<'_> {
    fn drop(&mut self) {
        // Once the result is published, another request may have claimed the key.
        if self.publisher.is_some() {
            self.channel.known().release_claim(&self.spki);
        }
    }
}

impl LeaseOwner for AttestedChannel {
    fn close_idle(&self, spki: SpkiDigest) {
        self.pool.close(|key| *key == spki);
    }

    fn reconnect<'a>(&'a self, peer: &'a Arc<TrustedPeer>) -> Reconnecting<'a> {
        Box::pin(self.connect_to(peer))
    }
}
