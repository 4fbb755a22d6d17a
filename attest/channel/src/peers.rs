//! The keys met behind one origin and what is known about each: trusted until a stated time,
//! refused a moment ago, or being verified right now.
//!
//! One verification per key at a time: whoever meets an unknown key first verifies it, everybody
//! else who meets the same key waits for that result (TLS has proved to each of them that their own
//! connection ends at the holder of that key). Rejections are remembered for a moment, so that a
//! flood of requests does not become a flood of quotes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use attest_core::{SpkiDigest, TrustedPeer};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::{ChannelError, Limits, Moment};

pub(crate) type Outcome = Result<Arc<TrustedPeer>, ChannelError>;

enum Standing {
    Trusted {
        peer: Arc<TrustedPeer>,
        /// When the peer expires by the clock that cannot be set.
        until: Duration,
    },
    Refused {
        error: ChannelError,
        until: Instant,
    },
    UnderWay(watch::Receiver<Option<Outcome>>),
}

impl Standing {
    /// Trust ends by whichever clock is later: setting one back prolongs nothing.
    fn has_expired(&self, moment: Moment) -> bool {
        match self {
            Standing::Trusted { peer, until } => {
                peer.expires_at() <= moment.now || *until <= moment.uptime
            }
            Standing::Refused { .. } | Standing::UnderWay(_) => false,
        }
    }
}

/// What to do about a key.
pub(crate) enum Found {
    Trusted(Arc<TrustedPeer>),
    Refused(ChannelError),
    /// Somebody else is at it: wait here.
    UnderWay(watch::Receiver<Option<Outcome>>),
    /// Nobody knows it: verify, and tell the others through this.
    Unknown(watch::Sender<Option<Outcome>>),
}

pub(crate) struct Peers {
    standings: HashMap<SpkiDigest, Standing>,
    limits: Limits,
}

impl Peers {
    pub(crate) fn new(limits: Limits) -> Self {
        Peers {
            standings: HashMap::new(),
            limits,
        }
    }

    /// The peer trusted under `spki` at `now`, if there is one.
    pub(crate) fn trusted(
        &mut self,
        spki: &SpkiDigest,
        moment: Moment,
    ) -> Option<&Arc<TrustedPeer>> {
        if let Some(standing) = self.standings.get(spki)
            && standing.has_expired(moment)
        {
            self.standings.remove(spki);
        }
        match self.standings.get(spki) {
            Some(Standing::Trusted { peer, .. }) => Some(peer),
            _ => None,
        }
    }

    pub(crate) fn all_trusted(&mut self, moment: Moment) -> Vec<Arc<TrustedPeer>> {
        self.standings
            .retain(|_, standing| !standing.has_expired(moment));
        self.standings
            .values()
            .filter_map(|standing| match standing {
                Standing::Trusted { peer, .. } => Some(Arc::clone(peer)),
                _ => None,
            })
            .collect()
    }

    /// Looks `spki` up; an unknown key is marked as being verified by the caller.
    pub(crate) fn find(&mut self, spki: SpkiDigest, moment: Moment) -> Found {
        if let Some(peer) = self.trusted(&spki, moment) {
            return Found::Trusted(Arc::clone(peer));
        }
        match self.standings.get(&spki) {
            Some(Standing::Refused { error, until }) if Instant::now() < *until => {
                return Found::Refused(error.clone());
            }
            Some(Standing::UnderWay(outcome)) => return Found::UnderWay(outcome.clone()),
            _ => {}
        }
        let (teller, outcome) = watch::channel(None);
        self.standings.insert(spki, Standing::UnderWay(outcome));
        Found::Unknown(teller)
    }

    /// Records how a verification ended. Only a judgement is remembered; that a peer could not be
    /// asked says nothing about it.
    pub(crate) fn record(&mut self, spki: SpkiDigest, outcome: &Outcome, moment: Moment) {
        match outcome {
            Ok(peer) => {
                let left = peer.expires_at().since(moment.now).unwrap_or_default();
                let peer = Arc::clone(peer);
                let until = moment.uptime + left;
                self.put(spki, Standing::Trusted { peer, until });
            }
            Err(error @ ChannelError::Rejected(_)) => {
                let until = Instant::now() + self.limits.refusal_memory;
                let error = error.clone();
                self.put(spki, Standing::Refused { error, until });
            }
            Err(_) => self.give_up(&spki),
        }
    }

    /// Forgets that `spki` is being verified.
    pub(crate) fn give_up(&mut self, spki: &SpkiDigest) {
        if let Some(Standing::UnderWay(_)) = self.standings.get(spki) {
            self.standings.remove(spki);
        }
    }

    fn put(&mut self, spki: SpkiDigest, standing: Standing) {
        self.standings.remove(&spki);
        self.make_room();
        self.standings.insert(spki, standing);
    }

    /// A peer that shows a new key on every connection must not fill the memory.
    fn make_room(&mut self) {
        let now = Instant::now();
        self.standings.retain(
            |_, standing| !matches!(standing, Standing::Refused { until, .. } if *until <= now),
        );
        while self.standings.len() >= self.limits.trusted_keys.max(1) {
            let Some(spki) = self.least_useful() else {
                return;
            };
            self.standings.remove(&spki);
        }
    }

    /// Refusals go first, then the peer that expires next. Verifications under way stay.
    fn least_useful(&self) -> Option<SpkiDigest> {
        self.standings
            .iter()
            .filter_map(|(spki, standing)| match standing {
                Standing::Refused { .. } => Some((None, *spki)),
                Standing::Trusted { until, .. } => Some((Some(*until), *spki)),
                Standing::UnderWay(_) => None,
            })
            .min_by_key(|(until, _)| *until)
            .map(|(_, spki)| spki)
    }
}

#[cfg(test)]
mod tests {
    use attest_core::{Appraiser, AttestationPolicy, Roots, UnixTime};

    use super::*;

    const NOW: Moment = Moment {
        now: UnixTime::from_secs(1_770_000_000),
        uptime: Duration::from_secs(1_000),
    };

    fn rejection() -> Outcome {
        let policy = AttestationPolicy::parse("name = \"any\"\n[tdx]\nmeasurements = \"any\"\n")
            .expect("a policy");
        let appraiser = Appraiser {
            roots: &Roots::vendor(),
            policy: &policy,
            collateral: None,
            now: NOW.now,
        };
        Err(ChannelError::Rejected(Arc::new(
            appraiser.quote(b"not a quote"),
        )))
    }

    fn key(number: u8) -> SpkiDigest {
        SpkiDigest::of_spki_der(&[number])
    }

    fn peers(refusal_memory: Duration) -> Peers {
        Peers::new(Limits {
            trusted_keys: 4,
            refusal_memory,
            ..Limits::default()
        })
    }

    #[test]
    fn a_new_key_for_every_connection_does_not_fill_the_memory() {
        let mut peers = peers(Duration::from_secs(60));
        for number in 0..100 {
            assert!(matches!(peers.find(key(number), NOW), Found::Unknown(_)));
            peers.record(key(number), &rejection(), NOW);
            assert!(peers.standings.len() <= 4);
        }
        assert!(matches!(peers.find(key(99), NOW), Found::Refused(_)));
    }

    #[test]
    fn a_rejection_is_forgotten_after_its_time() {
        let mut peers = peers(Duration::ZERO);
        peers.record(key(1), &rejection(), NOW);
        assert!(matches!(peers.find(key(1), NOW), Found::Unknown(_)));
    }

    #[test]
    fn a_key_is_verified_by_one_at_a_time_until_told_or_given_up() {
        let mut peers = peers(Duration::from_secs(60));
        assert!(matches!(peers.find(key(1), NOW), Found::Unknown(_)));
        assert!(matches!(peers.find(key(1), NOW), Found::UnderWay(_)));
        assert!(matches!(peers.find(key(2), NOW), Found::Unknown(_)));
        peers.give_up(&key(1));
        assert!(matches!(peers.find(key(1), NOW), Found::Unknown(_)));
        peers.record(key(1), &Err(ChannelError::ReportStatus(503)), NOW);
        assert!(matches!(peers.find(key(1), NOW), Found::Unknown(_)));
        peers.record(key(1), &rejection(), NOW);
        assert!(matches!(peers.find(key(1), NOW), Found::Refused(_)));
    }
}
