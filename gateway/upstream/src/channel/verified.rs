//! An upstream that is an enclave, reached only after its evidence was accepted, on the key that was accepted.

use attest_channel::{Accept, AttestedChannel, ChannelError, Lease, LeasedBody, SendError};
use attest_core::log::{Entry, Fact, Word};
use attest_core::{Session, SessionId, TrustedPeer};
use http::Response;
use std::sync::{Arc, Mutex, PoisonError};

use super::connection::{NoResponse, SendFailure};
use super::not_verified::{Missing, NotVerified, check_name};
use super::prompt_body::OutgoingPrompt;
use super::session;
use super::target::Target;
use attest_channel::Clock;
use gateway_base::events::{self, Event, UpstreamFailure};
use gateway_base::metrics::{Metrics, VerificationResult};
use gateway_base::request::Endpoint;
use gateway_base::request::Name;
use gateway_store::ledger::{Ledger, SessionRow};

/// One origin under one trust: its channel, and the session of every peer met there.
///
/// Several models may be served by the same enclave; those that call it by the same name share this (sessions are per
/// channel, ACI §8), and all share the channel, with the keys verified on it.
pub struct Enclave {
    name: Name,
    channel: Arc<AttestedChannel>,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    met: Mutex<Vec<Met>>,
    told: Mutex<Option<NotVerified>>,
}

struct Met {
    peer: Arc<TrustedPeer>,
    session: Arc<Session>,
}

impl Enclave {
    pub fn new(
        name: Name,
        channel: Arc<AttestedChannel>,
        ledger: Arc<Ledger>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let (met, told) = (Mutex::new(Vec::new()), Mutex::new(None));
        Arc::new(Self {
            name,
            channel,
            ledger,
            metrics,
            clock,
            met,
            told,
        })
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Why it could not be used when that was last tried, unless it could be since.
    pub fn last_failure(&self) -> Option<NotVerified> {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions that are valid now.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.channel
            .peers()
            .iter()
            .filter_map(|peer| self.session(peer).ok())
            .collect()
    }

    /// The peer's session; written down before anyone can learn its id from us.
    pub(super) fn session(&self, peer: &Arc<TrustedPeer>) -> Result<Arc<Session>, NotVerified> {
        if let Some(session) = self.known_session(peer) {
            return Ok(session);
        }
        let session = Arc::new(self.make_session(peer)?);
        let id = session.id();
        self.ledger.store_session(SessionRow {
            id,
            json: session.to_jcs().into(),
            expires_at: session.record().expires_at,
        });
        if let Some(earlier) = self.meet(Met {
            peer: Arc::clone(peer),
            session: Arc::clone(&session),
        }) {
            return Ok(earlier);
        }
        self.metrics
            .upstream_verification(&self.name, VerificationResult::Verified);
        events::emit(Event::UpstreamVerified {
            upstream: self.name.clone(),
            session: id,
        });
        self.enter(|upstream| Fact::UpstreamAccepted {
            upstream,
            session: id,
        });
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(session)
    }

    /// Remembers a peer's session, unless somebody else has in the meantime.
    fn meet(&self, new: Met) -> Option<Arc<Session>> {
        let now = self.clock.now();
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = met.iter().find(|met| Arc::ptr_eq(&met.peer, &new.peer)) {
            return Some(Arc::clone(&earlier.session));
        }
        met.retain(|met| met.peer.expires_at() > now);
        met.push(new);
        None
    }

    /// Counts a failure, and says so in the log unless that is what was said last.
    pub(super) fn not_verified(&self, why: NotVerified) {
        let (result, failure, check) = match why {
            NotVerified::Rejected(check) => (
                VerificationResult::Rejected,
                UpstreamFailure::Rejected,
                Some(check_name(check)),
            ),
            NotVerified::Unavailable(Missing::ReportBusy) => {
                (VerificationResult::Busy, UpstreamFailure::Busy, None)
            }
            NotVerified::Unavailable(Missing::Report) => (
                VerificationResult::Unreachable,
                UpstreamFailure::Report,
                None,
            ),
            NotVerified::Unavailable(Missing::Tls) => {
                (VerificationResult::Unreachable, UpstreamFailure::Tls, None)
            }
            NotVerified::Unavailable(Missing::ConnectTimeout | Missing::ReportTimeout) => (
                VerificationResult::Unreachable,
                UpstreamFailure::Timeout,
                None,
            ),
            NotVerified::Unavailable(_) => (
                VerificationResult::Unreachable,
                UpstreamFailure::Unreachable,
                None,
            ),
            NotVerified::NotAmongPinned => return,
        };
        self.metrics.upstream_verification(&self.name, result);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.replace(why) != Some(why) {
            events::emit(Event::UpstreamRefused {
                upstream: self.name.clone(),
                failure,
                check,
            });
            if failure == UpstreamFailure::Rejected {
                let check = check.and_then(|check| Word::parse(check).ok());
                self.enter(|upstream| Fact::UpstreamRejected { upstream, check });
            }
        }
    }

    /// Hands a verdict to the audit log.
    fn enter(&self, fact: impl FnOnce(Word) -> Fact) {
        if let Ok(upstream) = Word::parse(&self.name) {
            self.ledger.audit().note(Entry {
                at: self.clock.now(),
                fact: fact(upstream),
            });
        }
    }

    fn make_session(&self, peer: &TrustedPeer) -> Result<Session, NotVerified> {
        session::of_peer(peer, &self.name, &self.channel.origin().to_string())
            .map_err(|_| NotVerified::Unavailable(Missing::Verdict))
    }

    fn known_session(&self, peer: &TrustedPeer) -> Option<Arc<Session>> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        // The address names the peer as long as we hold it, and we do.
        let found = met
            .iter()
            .find(|met| std::ptr::eq(Arc::as_ptr(&met.peer), peer))?;
        Some(Arc::clone(&found.session))
    }

    fn session_id(&self, peer: &TrustedPeer) -> Option<SessionId> {
        let known = self.known_session(peer).map(|session| session.id());
        known.or_else(|| self.make_session(peer).ok().map(|session| session.id()))
    }

    async fn lease(&self, pinned: Option<&[SessionId]>) -> Result<Lease, ChannelError> {
        let Some(pinned) = pinned else {
            return self.channel.lease().await;
        };
        let wanted = |peer: &TrustedPeer| match self.session_id(peer) {
            Some(id) if pinned.contains(&id) => Accept::Yes,
            _ => Accept::No,
        };
        self.channel.lease_for(&wanted).await
    }
}

/// A model on an enclave.
pub struct VerifiedUpstream {
    pub(super) target: Target,
    pub(super) enclave: Arc<Enclave>,
}

impl VerifiedUpstream {
    pub fn name(&self) -> &Name {
        &self.target.name
    }

    /// What this upstream calls the model.
    pub fn model(&self) -> &Name {
        &self.target.model
    }

    pub fn enclave(&self) -> &Arc<Enclave> {
        &self.enclave
    }

    /// A connection to a peer whose evidence is accepted, and which is in one of the `pinned` sessions if any are.
    pub async fn open(
        &self,
        pinned: Option<&[SessionId]>,
    ) -> Result<VerifiedConnection<'_>, NotVerified> {
        let lease = self.enclave.lease(pinned).await.map_err(|error| {
            let why = NotVerified::from(error);
            self.enclave.not_verified(why);
            why
        })?;
        let session = self.enclave.session(lease.peer())?;
        if pinned.is_some_and(|pinned| !pinned.contains(&session.id())) {
            return Err(NotVerified::NotAmongPinned);
        }
        Ok(VerifiedConnection {
            target: &self.target,
            lease,
            session: session.id(),
        })
    }
}

/// A prompt's way out to an enclave: verified, and recorded as such.
pub struct VerifiedConnection<'a> {
    target: &'a Target,
    lease: Lease,
    session: SessionId,
}

impl VerifiedConnection<'_> {
    /// The session that a receipt cites.
    pub fn session(&self) -> SessionId {
        self.session
    }

    pub(super) async fn send(
        self,
        endpoint: Endpoint,
        stream: bool,
        prompt: &OutgoingPrompt,
    ) -> Result<Response<LeasedBody>, SendFailure> {
        let request = self.target.request(endpoint, stream, prompt);
        self.lease.send(request).await.map_err(|error| match error {
            SendError::NotSent(_) => SendFailure::NotSent,
            SendError::Misdirected => SendFailure::Misdirected,
            SendError::Interrupted(_) => SendFailure::MaybeSent(NoResponse::Closed),
        })
    }
}
