//! Candidates in order, until one takes the prompt.
//!
//! The next candidate is tried only while the prompt has not left. From the first byte that may have been written the
//! request belongs to that upstream, whatever becomes of it: a second copy of a prompt is a second disclosure.

use attest_core::{Serving, SessionId, Sha256Digest};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use std::sync::Arc;
use tokio::time::timeout;

use super::body::Answer;
use super::refusal::Refusal;
use super::rewrite::{self, Spans, Wanted};
use super::upstream_refusal::{MAX_ERROR_BODY, UpstreamRefusal};
use crate::admit::{AdmittedRequest, Constraints};
use crate::channel::{
    ConnectFailure, Missing, NotVerified, OutgoingPrompt, PlainFailure, Reached, ReceivedPrompt,
    SendFailure, UpstreamBody, VerifiedUpstream,
};
use crate::config::Timeouts;
use crate::epoch::Epoch;
use crate::errors::ApiError;
use crate::receipt::Recorder;
use crate::request::{Endpoint, Salt};
use crate::route::{Candidate, Route};

/// What is asked of the candidates.
pub(super) struct Ask {
    route: Arc<Route>,
    epoch: Arc<Epoch>,
    endpoint: Endpoint,
    stream: bool,
    requested_model: String,
    spans: Spans,
    salt: Salt,
    constraints: Constraints,
    prompt: ReceivedPrompt,
    received: Sha256Digest,
}

/// Why one candidate did not answer.
enum Missed {
    /// The prompt has not left: another may be tried.
    Unused(Unused),
    /// It may have been read: this is the end.
    Spent(Refusal),
}

/// Why a candidate could not be given the prompt.
#[derive(Clone, Copy)]
enum Unused {
    NotVerified(NotVerified),
    Connect(ConnectFailure),
    /// Connections were had but kept closing before anything was written.
    Stale,
}

impl Unused {
    fn reason(self) -> String {
        match self {
            Unused::NotVerified(why) => why.reason(),
            Unused::Connect(why) => why.reason().to_owned(),
            Unused::Stale => "connection_closed".to_owned(),
        }
    }
}

impl Ask {
    /// Finds the route and checks what the caller demands of it. Nothing is sent yet.
    pub(super) fn prepare(
        request: AdmittedRequest,
        recorder: &mut Recorder,
    ) -> Result<Self, Refusal> {
        let AdmittedRequest {
            endpoint,
            fields,
            salt,
            prompt,
            received_hash,
            epoch,
            ..
        } = request;
        let required = fields.constraints.verified;
        let Some((asked_for, route)) = epoch.routes.lookup(&fields.model) else {
            if epoch.config.server.mode == Serving::Aggregator {
                recorder.unverified(required, "", "model_not_found", None);
            }
            return Err(ApiError::ModelNotFound.into());
        };
        recorder.routed(&route.model, asked_for);
        let route = Arc::clone(route);
        Ok(Self {
            route,
            epoch,
            endpoint,
            stream: fields.stream,
            requested_model: fields.model,
            spans: Spans {
                model: fields.model_span,
                provider: fields.provider_span,
                cache_salt: fields.cache_salt,
            },
            salt,
            constraints: fields.constraints,
            prompt: ReceivedPrompt::new(prompt),
            received: received_hash,
        })
    }

    /// The received body, shared.
    pub(super) fn body(&self) -> bytes::Bytes {
        self.prompt.shared()
    }

    /// The first candidate's answer, or why there is none.
    pub(super) async fn serve(&self, recorder: &mut Recorder) -> Result<Answer, Refusal> {
        self.check_pins(recorder)?;
        let mut before: Option<(&Candidate, Unused)> = None;
        for candidate in self
            .route
            .candidates
            .iter()
            .filter(|candidate| self.may_use(candidate))
        {
            if let Some((unused, why)) = before.take() {
                recorder.passed_over(unused.name(), &why.reason());
            }
            match self.attempt(candidate, recorder).await {
                Ok(answer) => return Ok(answer),
                Err(Missed::Unused(why)) => before = Some((candidate, why)),
                Err(Missed::Spent(refusal)) => return Err(refusal),
            }
        }
        Err(self.nobody(before, recorder))
    }

    /// Whether the prompt may go only to verified upstreams.
    fn required(&self) -> bool {
        self.route.confidential
            || self.constraints.verified
            || self.constraints.session_ids.is_some()
    }

    fn pinned(&self) -> Option<&[SessionId]> {
        self.constraints.session_ids.as_deref()
    }

    /// Direct serving has no second hop, so it satisfies `aci_verified` by what it is (ACI §5.3).
    fn may_use(&self, candidate: &Candidate) -> bool {
        match candidate {
            Candidate::Verified(_) => true,
            Candidate::Local(_) => self.route.serving == Serving::Direct,
            Candidate::Plain(_) => !self.required(),
        }
    }

    /// A direct service has no sessions, so it refuses any list of them.
    fn check_pins(&self, recorder: &mut Recorder) -> Result<(), Refusal> {
        let Some(pinned) = self.pinned() else {
            return Ok(());
        };
        let known = self.route.sessions();
        if known.iter().any(|session| pinned.contains(&session.id())) {
            return Ok(());
        }
        if self.route.serving == Serving::Aggregator {
            recorder.unverified(true, &self.upstream_model(), "session_not_accepted", None);
        }
        Err(ApiError::SessionNotAccepted.into())
    }

    fn upstream_model(&self) -> String {
        self.route
            .candidates
            .first()
            .map_or_else(String::new, |first| first.model().to_string())
    }

    async fn attempt(
        &self,
        candidate: &Candidate,
        recorder: &mut Recorder,
    ) -> Result<Answer, Missed> {
        match candidate {
            Candidate::Verified(upstream) => {
                self.attempt_verified(candidate, upstream, recorder).await
            }
            Candidate::Local(engine) => {
                self.attempt_unattested(candidate, engine.reached(), recorder)
                    .await
            }
            Candidate::Plain(upstream) => {
                recorder.unverified(
                    false,
                    candidate.model(),
                    "not_attested",
                    Some(candidate.name()),
                );
                self.attempt_unattested(candidate, upstream.reached(), recorder)
                    .await
            }
        }
    }

    async fn attempt_verified(
        &self,
        candidate: &Candidate,
        upstream: &VerifiedUpstream,
        recorder: &mut Recorder,
    ) -> Result<Answer, Missed> {
        let opened = upstream.open(self.pinned()).await;
        let connection = opened.map_err(|why| Missed::Unused(Unused::NotVerified(why)))?;
        recorder.verified(self.required(), candidate.model(), connection.session());
        let prompt = self.outgoing(candidate, recorder)?;
        let sending = connection.send_prompt(self.endpoint, self.stream, &prompt);
        let sent = timeout(self.timeouts().first_byte, sending).await;
        self.judge(sent.map(|sent| sent.map_err(PlainFailure::Send)), recorder)
            .await
    }

    async fn attempt_unattested(
        &self,
        candidate: &Candidate,
        upstream: &Reached,
        recorder: &mut Recorder,
    ) -> Result<Answer, Missed> {
        let prompt = self.outgoing(candidate, recorder)?;
        let sending = upstream.send_prompt(self.endpoint, self.stream, &prompt);
        let sent = timeout(self.timeouts().first_byte, sending).await;
        self.judge(sent, recorder).await
    }

    /// The bytes for this candidate, and a note that they are about to leave.
    fn outgoing(
        &self,
        candidate: &Candidate,
        recorder: &mut Recorder,
    ) -> Result<OutgoingPrompt, Missed> {
        let body = self.prompt.bytes();
        let wanted = Wanted {
            model: (self.requested_model != candidate.model().as_str())
                .then(|| candidate.model().as_str()),
            cache_salt: self.route.salts(candidate).then(|| self.salt.as_str()),
        };
        let edits = rewrite::edits(body, &self.spans, &wanted);
        let as_received = edits.is_empty();
        let prompt = self
            .prompt
            .with_edits(edits)
            .map_err(|_| Missed::Spent(ApiError::Internal.into()))?;
        let digest = if as_received {
            self.received
        } else {
            prompt.digest()
        };
        recorder.forwarding(candidate.name(), digest);
        Ok(prompt)
    }

    async fn judge(
        &self,
        sent: Result<Result<Response<UpstreamBody>, PlainFailure>, tokio::time::error::Elapsed>,
        recorder: &mut Recorder,
    ) -> Result<Answer, Missed> {
        let response = match sent {
            Err(_elapsed) => return Err(Missed::Spent(ApiError::UpstreamTimeout.into())),
            Ok(Err(PlainFailure::Connect(why))) => {
                recorder.not_forwarded();
                return Err(Missed::Unused(Unused::Connect(why)));
            }
            Ok(Err(PlainFailure::Send(SendFailure::NotSent))) => {
                recorder.not_forwarded();
                return Err(Missed::Unused(Unused::Stale));
            }
            Ok(Err(PlainFailure::Send(SendFailure::MaybeSent))) => {
                return Err(Missed::Spent(ApiError::UpstreamUnavailable.into()));
            }
            Ok(Ok(response)) => response,
        };
        match response.status() {
            status if status.is_success() => Ok(Answer::new(response, self.timeouts())),
            status => Err(Missed::Spent(self.refused(status, response).await)),
        }
    }

    /// Reads as much of an upstream's error as is needed to translate it.
    async fn refused(&self, status: StatusCode, response: Response<UpstreamBody>) -> Refusal {
        let (head, body) = response.into_parts();
        let reading = Limited::new(body, MAX_ERROR_BODY).collect();
        let body = match timeout(self.timeouts().idle, reading).await {
            Ok(Ok(body)) => body.to_bytes(),
            _ => bytes::Bytes::new(),
        };
        let retry_after = head.headers.get(http::header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok());
        Refusal::Upstream(UpstreamRefusal::read(status.as_u16(), retry_after, &body))
    }

    /// Every candidate was passed over; the last one decides how that is told.
    fn nobody(&self, last: Option<(&Candidate, Unused)>, recorder: &mut Recorder) -> Refusal {
        let aggregator = self.route.serving == Serving::Aggregator;
        let Some((candidate, why)) = last else {
            // Verification was asked for, and nothing that serves this model can be verified.
            if aggregator {
                recorder.unverified(true, &self.upstream_model(), "not_attested", None);
            }
            return ApiError::UpstreamVerificationFailed.into();
        };
        match why {
            Unused::NotVerified(not_verified) => {
                let reason = not_verified.reason();
                recorder.unverified(true, candidate.model(), &reason, Some(candidate.name()));
                match self.pinned() {
                    Some(_) => ApiError::SessionNotAccepted.into(),
                    None => not_verified_error(not_verified).into(),
                }
            }
            Unused::Connect(ConnectFailure::Timeout) => ApiError::UpstreamTimeout.into(),
            Unused::Connect(_) | Unused::Stale => ApiError::UpstreamUnavailable.into(),
        }
    }

    fn timeouts(&self) -> &Timeouts {
        &self.epoch.config.timeouts
    }
}

/// An enclave that was not reached, or that had no time, was neither accepted nor refused.
fn not_verified_error(why: NotVerified) -> ApiError {
    match why {
        NotVerified::Unavailable(missing) => match missing {
            Missing::Address | Missing::Connection | Missing::Tls => ApiError::UpstreamUnavailable,
            Missing::ConnectTimeout => ApiError::UpstreamTimeout,
            Missing::ReportBusy | Missing::ReportTimeout => ApiError::UpstreamVerificationBusy,
            Missing::Report | Missing::Verdict => ApiError::UpstreamVerificationFailed,
        },
        NotVerified::Rejected(_) | NotVerified::NotAmongPinned => {
            ApiError::UpstreamVerificationFailed
        }
    }
}
