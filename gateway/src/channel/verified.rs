//! An upstream that is an enclave, reached only after its evidence was accepted, on the key that was accepted.

use attest_channel::{
    Accept, AttestedChannel, ChannelError, Lease, LeasedBody, SendError, Stage,
};
use attest_core::{Outcome, Session, SessionId, TrustedPeer, Verdict};
use http::Response;
use std::sync::{Arc, Mutex, PoisonError};

use super::connection::SendFailure;
use super::prompt_body::OutgoingPrompt;
use super::session;
use super::target::Target;
use crate::Clock;
use crate::admit::Endpoint;
use crate::config::Name;
use crate::events::{self, Event, UpstreamFailure};
use crate::ledger::{Ledger, SessionRow};
use crate::metrics::{Metrics, Verification};

/// One origin under one trust: its channel, and the session of every peer met there.
///
/// Several models may be served by the same enclave; they share this (sessions are per channel, ACI §8).
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

/// Why an enclave cannot be used. The prompt has not left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// A check of the verdict refused it; its stable id.
    #[error("its evidence was not accepted: {0}")]
    Rejected(&'static str),
    #[error("its evidence could not be obtained: {}", .0.reason())]
    Unavailable(Missing),
    /// It is verified, but the caller asked for other sessions.
    #[error("none of its sessions is among those asked for")]
    NotAmongPinned,
}

/// What stood in the way of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Address,
    Connection,
    ConnectTimeout,
    Tls,
    Report,
    ReportTimeout,
    /// The verification or its record was not completed; on our side.
    Verdict,
}

impl Missing {
    pub const fn reason(self) -> &'static str {
        match self {
            Missing::Address => "name_not_resolved",
            Missing::Connection => "connect_failed",
            Missing::ConnectTimeout => "connect_timeout",
            Missing::Tls => "tls_failed",
            Missing::Report => "report_unavailable",
            Missing::ReportTimeout => "report_timeout",
            Missing::Verdict => "verification_incomplete",
        }
    }
}

impl NotVerified {
    /// The word receipts and logs use: from a closed set, and `rejected:` with a check's id.
    pub fn reason(self) -> String {
        match self {
            NotVerified::Rejected(check) => format!("rejected:{check}"),
            NotVerified::Unavailable(why) => why.reason().to_owned(),
            NotVerified::NotAmongPinned => "session_not_accepted".to_owned(),
        }
    }
}

impl From<ChannelError> for NotVerified {
    fn from(error: ChannelError) -> Self {
        NotVerified::Unavailable(match error {
            ChannelError::Rejected(verdict) => return NotVerified::Rejected(first_refusal(&verdict)),
            ChannelError::NoneAccepted => return NotVerified::NotAmongPinned,
            ChannelError::Resolve => Missing::Address,
            ChannelError::Connect(_) => Missing::Connection,
            ChannelError::Tls(_) => Missing::Tls,
            ChannelError::Timeout { stage: Stage::Report } => Missing::ReportTimeout,
            ChannelError::Timeout { .. } => Missing::ConnectTimeout,
            ChannelError::Http(_) | ChannelError::ReportStatus(_) | ChannelError::ReportTooLarge => {
                Missing::Report
            }
            ChannelError::NoRandomness | ChannelError::VerificationFailed => Missing::Verdict,
        })
    }
}

/// The first check that speaks against acceptance.
fn first_refusal(verdict: &Verdict) -> &'static str {
    let failed = verdict.failures().next().map(|(id, _)| id);
    let missed = || {
        let missing = |outcome: &Outcome| matches!(outcome, Outcome::NotEvaluated(_));
        verdict.checks().iter().find(|check| check.required && missing(&check.outcome))
    };
    failed.or_else(|| missed().map(|check| check.id)).unwrap_or("undecided")
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
        Arc::new(Self { name, channel, ledger, metrics, clock, met, told })
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    pub(super) fn channel(&self) -> &Arc<AttestedChannel> {
        &self.channel
    }

    /// The sessions that are valid now.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.channel.peers().iter().filter_map(|peer| self.session(peer).ok()).collect()
    }

    /// The peer's session; written down before anyone can learn its id from us.
    pub(super) fn session(&self, peer: &Arc<TrustedPeer>) -> Result<Arc<Session>, NotVerified> {
        if let Some(session) = self.known_session(peer) {
            return Ok(session);
        }
        let session = Arc::new(self.make_session(peer)?);
        self.ledger.store_session(SessionRow {
            id: session.id(),
            json: session.to_jcs().into(),
            expires_at: session.record().expires_at,
        });
        let now = self.clock.now();
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.retain(|met| met.peer.expires_at() > now && !Arc::ptr_eq(&met.peer, peer));
        met.push(Met { peer: Arc::clone(peer), session: Arc::clone(&session) });
        drop(met);
        self.metrics.upstream_verification(&self.name, Verification::Verified);
        events::emit(Event::UpstreamVerified { upstream: self.name.clone(), session: session.id() });
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(session)
    }

    /// Counts a failure, and says so in the log unless that is what was said last.
    pub(super) fn not_verified(&self, why: NotVerified) {
        let (result, failure, check) = match why {
            NotVerified::Rejected(check) => {
                (Verification::Rejected, UpstreamFailure::Rejected, Some(check))
            }
            NotVerified::Unavailable(Missing::Report) => {
                (Verification::Unreachable, UpstreamFailure::Report, None)
            }
            NotVerified::Unavailable(Missing::Tls) => {
                (Verification::Unreachable, UpstreamFailure::Tls, None)
            }
            NotVerified::Unavailable(Missing::ConnectTimeout | Missing::ReportTimeout) => {
                (Verification::Unreachable, UpstreamFailure::Timeout, None)
            }
            NotVerified::Unavailable(_) => {
                (Verification::Unreachable, UpstreamFailure::Unreachable, None)
            }
            NotVerified::NotAmongPinned => return,
        };
        self.metrics.upstream_verification(&self.name, result);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.replace(why) != Some(why) {
            events::emit(Event::UpstreamRefused { upstream: self.name.clone(), failure, check });
        }
    }

    fn make_session(&self, peer: &TrustedPeer) -> Result<Session, NotVerified> {
        session::of_peer(peer, &self.name, &self.channel.origin().to_string())
            .map_err(|_| NotVerified::Unavailable(Missing::Verdict))
    }

    fn known_session(&self, peer: &TrustedPeer) -> Option<Arc<Session>> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        // The address names the peer as long as we hold it, and we do.
        let found = met.iter().find(|met| std::ptr::eq(Arc::as_ptr(&met.peer), peer))?;
        Some(Arc::clone(&found.session))
    }

    fn session_id(&self, peer: &TrustedPeer) -> Option<SessionId> {
        let known = self.known_session(peer).map(|session| session.id());
        known.or_else(|| self.make_session(peer).ok().map(|session| session.id()))
    }

    async fn lease(&self, pinned: Option<&[SessionId]>) -> Result<Lease, ChannelError> {
        let Some(pinned) = pinned else { return self.channel.lease().await };
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
    pub async fn open(&self, pinned: Option<&[SessionId]>) -> Result<VerifiedConnection<'_>, NotVerified> {
        let lease = self.enclave.lease(pinned).await.map_err(|error| {
            let why = NotVerified::from(error);
            self.enclave.not_verified(why);
            why
        })?;
        let session = self.enclave.session(lease.peer())?;
        if pinned.is_some_and(|pinned| !pinned.contains(&session.id())) {
            return Err(NotVerified::NotAmongPinned);
        }
        Ok(VerifiedConnection { target: &self.target, lease, session: session.id() })
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
            SendError::Interrupted(_) => SendFailure::MaybeSent,
        })
    }
}
