//! Everything known about one origin: the keys trusted behind it and the connections to them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use attest_core::{SpkiDigest, TrustedPeer, UnixTime};
use tokio::sync::watch;

use crate::connection::{AttestedConnection, Known, ObservedConnection, appraise};
use crate::http1::{Http1, OwnedTask};
use crate::peers::{Found, Outcome, Peers};
use crate::pool::{Choice, Pool};
use crate::{
    ChannelError, Clock, Dialer, Lease, Limits, Origin, TcpDialer, Timeouts, Trust, report,
};

/// A caller's word on a trusted peer: whether this request may go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    Yes,
    No,
}

pub struct AttestedChannel {
    this: Weak<Self>,
    origin: Origin,
    trust: Arc<Trust>,
    /// Spares renewals the endorsements that come again with every report.
    known: Known,
    dialer: Dialer,
    timeouts: Timeouts,
    limits: Limits,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    peers: Peers,
    pool: Pool,
    /// Closes overdue connections while there are any.
    reaper: Option<OwnedTask>,
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

    /// Opens its connections through `tcp`, which others may share.
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
            known: Known::default(),
            dialer: Dialer::with_tcp(timeouts, limits, tcp),
            timeouts,
            limits,
            clock,
            state: Mutex::new(State {
                peers: Peers::new(limits),
                pool: Pool::new(limits.idle_connections, timeouts.idle_pool),
                reaper: None,
            }),
        })
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The peers trusted right now.
    pub fn peers(&self) -> Vec<Arc<TrustedPeer>> {
        let moment = self.clock.moment();
        self.state().peers.all_trusted(moment)
    }

    /// A connection to a trusted peer, for one request. An unknown key is verified first, on the
    /// connection that showed it.
    pub async fn lease(&self) -> Result<Lease, ChannelError> {
        if let Some(lease) = self.pooled(|_| Choice::Take).await {
            return Ok(lease);
        }
        let connection = self.connect().await?;
        Ok(self.leased(connection))
    }

    /// A connection to a trusted peer that the caller also `wanted`. Behind one address there may be
    /// several peers; a bounded number of connections is opened in search of the right one.
    pub async fn lease_for<W>(&self, wanted: &W) -> Result<Lease, ChannelError>
    where
        W: Fn(&TrustedPeer) -> Accept + Sync + ?Sized,
    {
        // Asked outside the lock: what a caller does in there is its own business.
        let accepted: Vec<SpkiDigest> = self
            .peers()
            .iter()
            .filter(|peer| wanted(peer) == Accept::Yes)
            .map(|peer| peer.spki())
            .collect();
        let choose = |spki: &SpkiDigest| match accepted.contains(spki) {
            true => Choice::Take,
            false => Choice::Skip,
        };
        if let Some(lease) = self.pooled(choose).await {
            return Ok(lease);
        }
        let mut dials = 0;
        while dials < self.search(&accepted) {
            dials += 1;
            let connection = self.connect().await?;
            match wanted(&connection.peer) {
                Accept::Yes => return Ok(self.leased(connection)),
                Accept::No => self.keep(connection.http, connection.peer.spki()),
            }
        }
        Err(ChannelError::NoneAccepted)
    }

    /// How many connections to open at most. A peer that is known to be there is worth a search; one
    /// that may not exist (a caller can ask for anything) gets one try more than there are others.
    fn search(&self, accepted: &[SpkiDigest]) -> usize {
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
        self.keep(connection.http, connection.peer.spki());
        Ok(connection.peer)
    }

    /// Verifies anew the key that expires first: on an unused connection to it where there is one,
    /// else on a new connection, whoever answers there. Until that has succeeded the old result
    /// stands; evidence that is rejected ends it at once.
    pub async fn renew(&self) -> Result<Arc<TrustedPeer>, ChannelError> {
        let next = self
            .peers()
            .into_iter()
            .min_by_key(|peer| peer.expires_at());
        let pooled = match next {
            Some(peer) => self.pooled_of(peer.spki()).await,
            None => None,
        };
        let (mut http, spki) = match pooled {
            Some(pooled) => pooled,
            None => {
                let observed = self.dialer.dial(&self.origin).await?;
                let spki = observed.spki();
                (observed.into_http(), spki)
            }
        };
        let outcome = self.verify(&mut http, spki).await;
        if outcome.is_ok() || matches!(outcome, Err(ChannelError::Rejected(_))) {
            let moment = self.clock.moment();
            self.state().peers.record(spki, &outcome, moment);
        }
        let peer = outcome?;
        self.keep(http, spki);
        Ok(peer)
    }

    /// Another connection to exactly this peer, for a request whose connection turned out to be
    /// closed. `None`: somebody else answers now.
    pub(crate) async fn connect_again(
        &self,
        peer: &Arc<TrustedPeer>,
    ) -> Result<Option<Http1>, ChannelError> {
        let connection = self.connect().await?;
        if Arc::ptr_eq(peer, &connection.peer) {
            return Ok(Some(connection.http));
        }
        self.keep(connection.http, connection.peer.spki());
        Ok(None)
    }

    /// Takes back a connection on which nothing is under way.
    pub(crate) fn keep(&self, mut http: Http1, spki: SpkiDigest) {
        if !http.is_open() {
            return;
        }
        http.release();
        // Without a runtime (a value dropped at the very end) nobody would drive it again.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let mut state = self.state();
        state.pool.put(http, spki);
        if state.reaper.is_none() {
            let task = reap(Weak::clone(&self.this), self.timeouts.idle_pool);
            state.reaper = Some(OwnedTask::spawn_on(&runtime, task));
        }
    }

    async fn pooled(&self, mut choose: impl FnMut(&SpkiDigest) -> Choice) -> Option<Lease> {
        loop {
            let (mut http, peer) = self.take(&mut choose)?;
            if http.settles().await {
                return Some(Lease::pooled(http, peer, self.this.upgrade()?));
            }
        }
    }

    async fn pooled_of(&self, wanted: SpkiDigest) -> Option<(Http1, SpkiDigest)> {
        loop {
            let (mut http, peer) = self.take(&mut |spki| match *spki == wanted {
                true => Choice::Take,
                false => Choice::Skip,
            })?;
            if http.settles().await {
                return Some((http, peer.spki()));
            }
        }
    }

    /// An unused connection whose key is trusted at this moment.
    fn take(
        &self,
        choose: &mut impl FnMut(&SpkiDigest) -> Choice,
    ) -> Option<(Http1, Arc<TrustedPeer>)> {
        let moment = self.clock.moment();
        let mut state = self.state();
        let State { peers, pool, .. } = &mut *state;
        let (http, spki) = pool.take(|spki| match peers.trusted(spki, moment) {
            Some(_) => choose(spki),
            None => Choice::Close,
        })?;
        let peer = Arc::clone(peers.trusted(&spki, moment)?);
        Some((http, peer))
    }

    /// Opens a connection and sees to it that its key is trusted.
    async fn connect(&self) -> Result<AttestedConnection, ChannelError> {
        let observed = self.dialer.dial(&self.origin).await?;
        let spki = observed.spki();
        loop {
            let found = self.state().peers.find(spki, self.clock.moment());
            match found {
                Found::Trusted(peer) => return Ok(observed.trusting(peer)),
                Found::Refused(error) => return Err(error),
                Found::UnderWay(mut outcome) => match outcome.wait_for(Option::is_some).await {
                    Ok(told) => {
                        let told: Option<Outcome> = told.clone();
                        return told
                            .unwrap_or(Err(ChannelError::VerificationFailed))
                            .map(|peer| observed.trusting(peer));
                    }
                    // Whoever verified was cancelled: look again.
                    Err(_) => continue,
                },
                Found::Unknown(teller) => {
                    let flight = Flight {
                        channel: self,
                        spki,
                        teller: Some(teller),
                    };
                    return flight.verify(observed).await;
                }
            }
        }
    }

    /// Fetches a report on this very connection and judges it for this very key.
    async fn verify(&self, http: &mut Http1, spki: SpkiDigest) -> Outcome {
        let nonce = report::fresh_nonce()?;
        let bytes = report::fetch(http, &self.origin, &nonce, self.timeouts.report).await?;
        // The time after fetching: a slow peer does not get to be judged by an earlier clock.
        let now: UnixTime = self.clock.now();
        appraise(
            &self.trust,
            &self.known,
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
        match self.this.upgrade() {
            Some(home) => Lease::fresh(connection, home),
            None => connection.into_lease(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in the short sections under this lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The verification of one key, under way. Dropped before its end, it clears the way for the next.
struct Flight<'a> {
    channel: &'a AttestedChannel,
    spki: SpkiDigest,
    /// There until the result is told.
    teller: Option<watch::Sender<Option<Outcome>>>,
}

impl Flight<'_> {
    async fn verify(
        mut self,
        observed: ObservedConnection,
    ) -> Result<AttestedConnection, ChannelError> {
        let origin = self.channel.origin.clone();
        let mut http = observed.into_http();
        let outcome = self.channel.verify(&mut http, self.spki).await;
        let moment = self.channel.clock.moment();
        self.channel
            .state()
            .peers
            .record(self.spki, &outcome, moment);
        if let Some(teller) = self.teller.take() {
            teller.send_replace(Some(outcome.clone()));
        }
        let peer = outcome?;
        Ok(AttestedConnection { http, origin, peer })
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        // Once the result is told, the key may already be somebody else's flight.
        if self.teller.is_some() {
            self.channel.state().peers.give_up(&self.spki);
        }
    }
}

/// Closes overdue connections until there are none left.
async fn reap(channel: Weak<AttestedChannel>, patience: std::time::Duration) {
    loop {
        tokio::time::sleep(patience).await;
        let Some(channel) = channel.upgrade() else {
            return;
        };
        let mut state = channel.state();
        if state.pool.reap() == 0 {
            state.reaper = None;
            return;
        }
    }
}
