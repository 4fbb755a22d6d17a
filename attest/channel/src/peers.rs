//! The keys that peers behind one origin presented, and the status of each: trusted until a stated time,
//! refused a moment ago, or being verified now.
//!
//! One verification per key at a time: the first request that meets an unknown key *claims* and verifies it;
//! every other request that meets the same key waits for that result (TLS has proved to each of them that its
//! connection ends at the holder of that key). Rejections are remembered for a moment, so that a
//! flood of requests does not become a flood of quotes.
//!
//! ```text
//! unknown ──find_or_claim──► UnderWay ──record(Ok)────────► Trusted ──expires──► unknown
//!                               │    ──record(Rejected)──► Refused ──memory ends─► unknown
//!                               └────release_claim, record(other error)─────────► unknown
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Moment;
use crate::error::ChannelError;
use crate::settings::Limits;
use attest_core::{SpkiDigest, TrustedPeer};

pub(crate) type Outcome = Result<Arc<TrustedPeer>, ChannelError>;

enum KeyStatus {
    Trusted {
        peer: Arc<TrustedPeer>,
        /// When the peer expires by the boot clock, which cannot be set.
        until: Duration,
    },
    Refused {
        error: ChannelError,
        until: Instant,
    },
    /// A request has claimed the key. Its sender lives in that request, so this receiver learns of a
    /// cancelled one too.
    UnderWay(watch::Receiver<Option<Outcome>>),
}

impl KeyStatus {
    /// Trust ends as soon as either clock says so: setting the wall clock back prolongs nothing.
    fn has_expired(&self, moment: Moment) -> bool {
        match self {
            KeyStatus::Trusted { peer, until } => {
                peer.expires_at() <= moment.now || *until <= moment.uptime
            }
            // A refusal is never trusted, so it needs no date here; a claim ends with its request.
            KeyStatus::Refused { .. } | KeyStatus::UnderWay(_) => false,
        }
    }
}

/// What the caller of [`Peers::find_or_claim`] has to do about a key.
pub(crate) enum Lookup {
    Trusted(Arc<TrustedPeer>),
    Refused(ChannelError),
    /// Another request verifies it: wait for its result.
    UnderWay(watch::Receiver<Option<Outcome>>),
    /// The key was unknown and is now the caller's to verify and to record; it publishes the result to those
    /// who wait through this.
    Claimed(watch::Sender<Option<Outcome>>),
}

pub(crate) struct Peers {
    keys: HashMap<SpkiDigest, KeyStatus>,
    limits: Limits,
}

impl Peers {
    pub(crate) fn new(limits: Limits) -> Self {
        Peers {
            keys: HashMap::new(),
            limits,
        }
    }

    /// The peer that is trusted under `spki` at `moment`, if there is one.
    pub(crate) fn trusted(
        &mut self,
        spki: &SpkiDigest,
        moment: Moment,
    ) -> Option<&Arc<TrustedPeer>> {
        if let Some(status) = self.keys.get(spki)
            && status.has_expired(moment)
        {
            self.keys.remove(spki);
        }
        match self.keys.get(spki) {
            Some(KeyStatus::Trusted { peer, .. }) => Some(peer),
            _ => None,
        }
    }

    pub(crate) fn all_trusted(&mut self, moment: Moment) -> Vec<Arc<TrustedPeer>> {
        self.keys.retain(|_, status| !status.has_expired(moment));
        self.keys
            .values()
            .filter_map(|status| match status {
                KeyStatus::Trusted { peer, .. } => Some(Arc::clone(peer)),
                _ => None,
            })
            .collect()
    }

    /// Looks `spki` up. An unknown key is claimed for the caller, under the same lock, so that no two callers
    /// verify it.
    pub(crate) fn find_or_claim(&mut self, spki: SpkiDigest, moment: Moment) -> Lookup {
        if let Some(peer) = self.trusted(&spki, moment) {
            return Lookup::Trusted(Arc::clone(peer));
        }
        match self.keys.get(&spki) {
            Some(KeyStatus::Refused { error, until }) if Instant::now() < *until => {
                return Lookup::Refused(error.clone());
            }
            Some(KeyStatus::UnderWay(outcome)) => return Lookup::UnderWay(outcome.clone()),
            _ => {}
        }
        let (publisher, outcome) = watch::channel(None);
        self.keys.insert(spki, KeyStatus::UnderWay(outcome));
        Lookup::Claimed(publisher)
    }

    /// Records how a verification ended. Only a verdict is remembered: a peer that could not be reached is
    /// neither trusted nor refused.
    pub(crate) fn record(&mut self, spki: SpkiDigest, outcome: &Outcome, moment: Moment) {
        match outcome {
            Ok(peer) => {
                let left = peer.expires_at().since(moment.now).unwrap_or_default();
                let peer = Arc::clone(peer);
                // Fixed now by the boot clock: a wall clock that is set back later prolongs nothing.
                let until = moment.uptime + left;
                self.put(spki, KeyStatus::Trusted { peer, until });
            }
            Err(error @ ChannelError::Rejected(_)) => {
                let until = Instant::now() + self.limits.refusal_memory;
                let error = error.clone();
                self.put(spki, KeyStatus::Refused { error, until });
            }
            Err(_) => self.release_claim(&spki),
        }
    }

    /// Forgets that `spki` is being verified. A result that is recorded already stays.
    pub(crate) fn release_claim(&mut self, spki: &SpkiDigest) {
        if let Some(KeyStatus::UnderWay(_)) = self.keys.get(spki) {
            self.keys.remove(spki);
        }
    }

    fn put(&mut self, spki: SpkiDigest, status: KeyStatus) {
        self.keys.remove(&spki);
        self.make_room();
        self.keys.insert(spki, status);
    }

    /// A peer that presents a new key on every connection must not fill the memory.
    fn make_room(&mut self) {
        let now = Instant::now();
        self.keys.retain(
            |_, status| !matches!(status, KeyStatus::Refused { until, .. } if *until <= now),
        );
        while self.keys.len() >= self.limits.trusted_keys.max(1) {
            let Some(spki) = self.least_useful() else {
                return;
            };
            self.keys.remove(&spki);
        }
    }

    /// Refusals are removed first, then the peer that expires next. Claims stay: removing one would start a
    /// second verification of its key.
    fn least_useful(&self) -> Option<SpkiDigest> {
        self.keys
            .iter()
            .filter_map(|(spki, status)| match status {
                KeyStatus::Refused { .. } => Some((None, *spki)),
                KeyStatus::Trusted { until, .. } => Some((Some(*until), *spki)),
                KeyStatus::UnderWay(_) => None,
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
        SpkiDigest::from_spki_der(&[number])
    }

    fn peers(refusal_memory: Duration) -> Peers {
        Peers::new(Limits {
            trusted_keys: 4,
            refusal_memory,
            ..Limits::default()
        })
    }

    #[test]
    fn the_number_of_remembered_keys_is_bounded() {
        let mut peers = peers(Duration::from_secs(60));
        for number in 0..100 {
            assert!(matches!(
                peers.find_or_claim(key(number), NOW),
                Lookup::Claimed(_)
            ));
            peers.record(key(number), &rejection(), NOW);
            assert!(peers.keys.len() <= 4);
        }
        assert!(matches!(
            peers.find_or_claim(key(99), NOW),
            Lookup::Refused(_)
        ));
    }

    #[test]
    fn a_rejection_expires() {
        let mut peers = peers(Duration::ZERO);
        peers.record(key(1), &rejection(), NOW);
        assert!(matches!(
            peers.find_or_claim(key(1), NOW),
            Lookup::Claimed(_)
        ));
    }

    #[test]
    fn a_key_stays_claimed_until_its_result_is_recorded_or_the_claim_released() {
        let mut peers = peers(Duration::from_secs(60));
        assert!(matches!(
            peers.find_or_claim(key(1), NOW),
            Lookup::Claimed(_)
        ));
        assert!(matches!(
            peers.find_or_claim(key(1), NOW),
            Lookup::UnderWay(_)
        ));
        assert!(matches!(
            peers.find_or_claim(key(2), NOW),
            Lookup::Claimed(_)
        ));
        peers.release_claim(&key(1));
        assert!(matches!(
            peers.find_or_claim(key(1), NOW),
            Lookup::Claimed(_)
        ));
        peers.record(key(1), &Err(ChannelError::ReportStatus(503)), NOW);
        assert!(matches!(
            peers.find_or_claim(key(1), NOW),
            Lookup::Claimed(_)
        ));
        peers.record(key(1), &rejection(), NOW);
        assert!(matches!(
            peers.find_or_claim(key(1), NOW),
            Lookup::Refused(_)
        ));
    }
}
