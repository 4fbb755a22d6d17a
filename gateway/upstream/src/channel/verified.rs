//! Enclaves: a prompt is sent only after the evidence was accepted, on a connection with the accepted key.

use std::sync::{Arc, Mutex};

use http::Response;

use super::not_verified::{EvidenceError, NotVerified, check_name};
use super::prompt_body::OutgoingPrompt;
use super::send_failure::SendFailure;
use super::session;
use super::target::Target;
use attest_channel::Clock;
use attest_channel::{Accept, AttestedBody, AttestedChannel, ChannelError, Lease};
use attest_core::log::{Entry, Fact, Word};
use attest_core::{Session, SessionId, TrustedPeer};
use gateway_base::events::{self, Event, UpstreamFailure};
use gateway_base::lock::lock;
use gateway_base::metrics::{Metrics, VerificationResult};
use gateway_base::request::Endpoint;
use gateway_base::request::Name;
use gateway_store::ledger::{Ledger, SessionRow};

/// One origin under one trust: its channel, and the session of every peer verified there.
///
/// Several models may be served by the same enclave: upstreams with the same name share this value (sessions are per
/// channel, ACI §8), and all share the channel, with the keys verified on it.
pub struct Enclave {
    name: Name,
    channel: Arc<AttestedChannel>,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// One for each peer whose evidence has not expired. Both locks are held for single lookups and changes, never
    /// together and never across an await.
    sessions: Mutex<Vec<PeerSession>>,
    /// The failure that was logged last, so that a repeated one is counted and not logged again.
    last_failure: Mutex<Option<NotVerified>>,
}

struct PeerSession {
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
        Arc::new(Self {
            name,
            channel,
            ledger,
            metrics,
            clock,
            sessions: Mutex::default(),
            last_failure: Mutex::default(),
        })
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Why the last attempt to verify it failed; `None` if it succeeded.
    pub fn last_failure(&self) -> Option<NotVerified> {
        *lock(&self.last_failure)
    }

    /// The sessions that are valid now.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.channel
            .peers()
            .iter()
            .filter_map(|peer| self.session(peer).ok())
            .collect()
    }

    /// The peer's session. It is handed to the ledger before its id appears anywhere else.
    pub(super) fn session(&self, peer: &Arc<TrustedPeer>) -> Result<Arc<Session>, NotVerified> {
        if let Some(session) = self.known_session(peer) {
            return Ok(session);
        }
        let session = Arc::new(self.make_session(peer)?);
        let id = session.id();
        // Stored before it is remembered: as soon as another task can find the session, a receipt may name it.
        self.ledger.sessions().store(&SessionRow {
            id,
            json: session.to_jcs().into(),
            expires_at: session.record().expires_at,
        });
        // Two requests may verify one peer at the same time: only the first is counted and logged.
        if let Some(earlier) = self.remember(PeerSession {
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
        self.append_to_audit_log(|upstream| Fact::UpstreamAccepted {
            upstream,
            session: id,
        });
        *lock(&self.last_failure) = None;
        Ok(session)
    }

    /// Remembers a peer's session. Returns the session that another task has remembered in the meantime, if one has.
    fn remember(&self, new: PeerSession) -> Option<Arc<Session>> {
        let now = self.clock.now();
        let mut sessions = lock(&self.sessions);
        let earlier = sessions
            .iter()
            .find(|known| Arc::ptr_eq(&known.peer, &new.peer));
        if let Some(earlier) = earlier {
            return Some(Arc::clone(&earlier.session));
        }
        sessions.retain(|known| known.peer.expires_at() > now);
        sessions.push(new);
        None
    }

    /// Counts a failure, and logs it unless the same one was logged last.
    pub(super) fn not_verified(&self, why: NotVerified) {
        let (result, failure, check) = match why {
            NotVerified::Rejected(check) => (
                VerificationResult::Rejected,
                UpstreamFailure::Rejected,
                Some(check_name(check)),
            ),
            NotVerified::Unavailable(EvidenceError::ReportBusy) => {
                (VerificationResult::Busy, UpstreamFailure::Busy, None)
            }
            NotVerified::Unavailable(EvidenceError::Report) => (
                VerificationResult::Unreachable,
                UpstreamFailure::Report,
                None,
            ),
            NotVerified::Unavailable(EvidenceError::Tls) => {
                (VerificationResult::Unreachable, UpstreamFailure::Tls, None)
            }
            NotVerified::Unavailable(
                EvidenceError::ConnectTimeout | EvidenceError::ReportTimeout,
            ) => (
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
        // Held while the event is emitted, so that of two concurrent failures only one is logged. Emitting does not
        // come back here.
        let mut last = lock(&self.last_failure);
        if last.replace(why) != Some(why) {
            events::emit(Event::UpstreamRefused {
                upstream: self.name.clone(),
                failure,
                check,
            });
            if failure == UpstreamFailure::Rejected {
                let check = check.and_then(|check| Word::parse(check).ok());
                self.append_to_audit_log(|upstream| Fact::UpstreamRejected { upstream, check });
            }
        }
    }

    /// Queues an entry for the audit log.
    fn append_to_audit_log(&self, fact: impl FnOnce(Word) -> Fact) {
        if let Ok(upstream) = Word::parse(&self.name) {
            self.ledger.audit().note(Entry {
                at: self.clock.now(),
                fact: fact(upstream),
            });
        }
    }

    fn make_session(&self, peer: &TrustedPeer) -> Result<Session, NotVerified> {
        session::from_peer(peer, &self.name, &self.channel.origin().to_string())
            .map_err(|_| NotVerified::Unavailable(EvidenceError::Verdict))
    }

    fn known_session(&self, peer: &TrustedPeer) -> Option<Arc<Session>> {
        let sessions = lock(&self.sessions);
        // The address identifies the peer: each entry holds its peer, so no other can have the same address.
        let found = sessions
            .iter()
            .find(|known| std::ptr::eq(Arc::as_ptr(&known.peer), peer))?;
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
        let accept = |peer: &TrustedPeer| match self.session_id(peer) {
            Some(id) if pinned.contains(&id) => Accept::Yes,
            _ => Accept::No,
        };
        self.channel.lease_for(&accept).await
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

    /// A connection to a peer whose evidence is accepted, in one of the `pinned` sessions if there are any.
    pub async fn open(
        &self,
        pinned: Option<&[SessionId]>,
    ) -> Result<VerifiedConnection<'_>, NotVerified> {
        let lease = self.enclave.lease(pinned).await.map_err(|error| {
            let why = NotVerified::from(error);
            self.enclave.not_verified(why);
            why
        })?;
        // The lease is held from here to the sending, so the prompt goes to the peer whose session the receipt names.
        let session = self.enclave.session(lease.peer())?;
        // Checked on the session itself, too: `accept` may have calculated the id of a session that was not stored,
        // because another task stored the peer's first.
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

/// A connection to a verified enclave, whose session is recorded.
pub struct VerifiedConnection<'a> {
    target: &'a Target,
    lease: Lease,
    session: SessionId,
}

impl VerifiedConnection<'_> {
    /// The session for the receipt.
    pub fn session(&self) -> SessionId {
        self.session
    }

    pub(super) async fn send(
        self,
        endpoint: Endpoint,
        stream: bool,
        prompt: &OutgoingPrompt,
    ) -> Result<Response<AttestedBody>, SendFailure> {
        let request = self.target.request(endpoint, stream, prompt);
        Ok(self.lease.send_rendered(&request).await?)
    }
}
