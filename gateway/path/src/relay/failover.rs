//! Candidates in order, until one takes the prompt.
//!
//! The next candidate is tried only while the prompt has not left. From the first byte that may have been written the
//! request belongs to that upstream, whatever becomes of it: a second copy of a prompt is a second disclosure.

use attest_core::{Serving, SessionId, Sha256Digest};
use http::Response;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::timeout;

use super::answer::{self, Answer, Failed};
use super::error_body;
use super::refusal::Refusal;
use super::rewrite::{self, Spans, Wanted};
use crate::admit::{AdmittedRequest, Constraints};
use crate::receipt::Recorder;
use attest_channel::Clock;
use gateway_base::config::Timeouts;
use gateway_base::errors::ApiError;
use gateway_base::metering::Cause;
use gateway_base::request::{Endpoint, Salt};
use gateway_contract::epoch::Epoch;
use gateway_upstream::channel::{
    ConnectFailure, EvidenceError, HttpUpstream, NoResponse, NotVerified, OutgoingPrompt,
    PlainFailure, ReceivedPrompt, SendFailure, UpstreamBody, VerifiedUpstream,
};
use gateway_upstream::route::{Candidate, CandidateState, Route};

/// What is asked of the candidates.
pub(super) struct Ask {
    route: Arc<Route>,
    epoch: Arc<Epoch>,
    endpoint: Endpoint,
    stream: bool,
    /// The caller asked for a stream's usage itself.
    usage_asked_for: bool,
    clock: Arc<dyn Clock>,
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

    fn cause(self) -> Cause {
        match self {
            Unused::NotVerified(why) => why.cause(),
            Unused::Connect(why) => why.cause(),
            Unused::Stale => Cause::Closed,
        }
    }

    /// Whether others are to be tried first for a while.
    fn is_unreachable(self) -> bool {
        match self {
            Unused::NotVerified(why) => why.is_unreachable(),
            Unused::Connect(_) => true,
            Unused::Stale => false,
        }
    }
}

/// How often an enclave is connected to again for one request.
const RECONNECTS: usize = 2;

impl Ask {
    /// Finds the route and checks what the caller demands of it. Nothing is sent yet.
    pub(super) fn prepare(
        request: AdmittedRequest,
        clock: &Arc<dyn Clock>,
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
            usage_asked_for: fields.include_usage == Some(true),
            clock: Arc::clone(clock),
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
        for (candidate, state) in self.in_order() {
            if let Some((unused, why)) = before.take() {
                recorder.passed_over(unused.name(), &why.reason());
            }
            match self.attempt(candidate, state, recorder).await {
                Ok(answer) => {
                    state.health.mark_reachable();
                    return Ok(answer);
                }
                Err(Missed::Unused(why)) => {
                    if why.is_unreachable() {
                        state.health.mark_unreachable();
                    }
                    before = Some((candidate, why));
                }
                Err(Missed::Spent(refusal)) => {
                    state.health.mark_reachable();
                    return Err(refusal);
                }
            }
        }
        Err(self.nobody(before, recorder))
    }

    /// The candidates that may be used, in order of preference; those that could not be reached a moment ago come last.
    fn in_order(&self) -> Vec<(&Candidate, &CandidateState)> {
        let usable = self
            .route
            .candidates()
            .filter(|(candidate, _)| self.may_use(candidate));
        let (mut order, last): (Vec<_>, Vec<_>) =
            usable.partition(|(_, state)| state.health.may_be_tried());
        order.extend(last);
        order
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

    /// One attempt; another on the same upstream if it refuses that we asked for the usage of a stream, or serves no more
    /// requests on a connection that it had.
    async fn attempt(
        &self,
        candidate: &Candidate,
        state: &CandidateState,
        recorder: &mut Recorder,
    ) -> Result<Answer, Missed> {
        let mut asks_usage = self.stream && !self.usage_asked_for && state.may_request_usage();
        let mut reconnects = 0;
        loop {
            let attempted = self
                .attempt_once(candidate, state, asks_usage, recorder)
                .await;
            match attempted {
                Err(Attempted::UsageRefused) if asks_usage => {
                    state.set_usage_refused();
                    recorder.repeating(candidate.name(), "stream_options_refused");
                    asks_usage = false;
                }
                // The enclave's epoch ended. It is the same one that gets the prompt again, on a connection that is
                // verified under its next epoch.
                Err(Attempted::Misdirected) if reconnects < RECONNECTS => {
                    reconnects += 1;
                    recorder.repeating(candidate.name(), "epoch_ended");
                }
                Err(Attempted::Missed(Missed::Unused(Unused::Stale)))
                    if matches!(candidate, Candidate::Verified(_)) && reconnects < RECONNECTS =>
                {
                    reconnects += 1;
                }
                other => return other.map_err(|attempted| attempted.missed(recorder)),
            }
        }
    }

    async fn attempt_once(
        &self,
        candidate: &Candidate,
        state: &CandidateState,
        asks_usage: bool,
        recorder: &mut Recorder,
    ) -> Result<Answer, Attempted> {
        let response = match candidate {
            Candidate::Verified(upstream) => {
                let prompt = self.outgoing(candidate, state, asks_usage)?;
                self.send_verified(candidate, upstream, prompt, recorder)
                    .await?
            }
            Candidate::Local(engine) => {
                let prompt = self.outgoing(candidate, state, asks_usage)?;
                self.send_unattested(candidate, engine.http(), prompt, recorder)
                    .await?
            }
            Candidate::Plain(upstream) => {
                recorder.unverified(
                    false,
                    candidate.model(),
                    "not_attested",
                    Some(candidate.name()),
                );
                let prompt = self.outgoing(candidate, state, asks_usage)?;
                self.send_unattested(candidate, upstream.http(), prompt, recorder)
                    .await?
            }
        };
        self.judge(response, asks_usage, recorder).await
    }

    async fn send_verified(
        &self,
        candidate: &Candidate,
        upstream: &VerifiedUpstream,
        prompt: Forwarded,
        recorder: &mut Recorder,
    ) -> Result<Response<UpstreamBody>, Attempted> {
        let opened = upstream.open(self.pinned()).await;
        let connection = opened.map_err(|why| Missed::Unused(Unused::NotVerified(why)))?;
        recorder.verified(self.required(), candidate.model(), connection.session());
        recorder.forwarding(candidate.name(), prompt.digest, &prompt.changed);
        let sending = connection.send_prompt(self.endpoint, self.stream, &prompt.body);
        let sent = timeout(self.timeouts().first_byte, sending).await;
        if let Ok(Err(SendFailure::Misdirected)) = sent {
            return Err(Attempted::Misdirected);
        }
        let sent = sent.map(|sent| sent.map_err(PlainFailure::Send));
        Ok(arrived(sent, recorder)?)
    }

    async fn send_unattested(
        &self,
        candidate: &Candidate,
        upstream: &HttpUpstream,
        prompt: Forwarded,
        recorder: &mut Recorder,
    ) -> Result<Response<UpstreamBody>, Missed> {
        recorder.forwarding(candidate.name(), prompt.digest, &prompt.changed);
        let sending = upstream.send_prompt(self.endpoint, self.stream, &prompt.body);
        let sent = timeout(self.timeouts().first_byte, sending).await;
        arrived(sent, recorder)
    }

    /// The bytes for this candidate.
    fn outgoing(
        &self,
        candidate: &Candidate,
        state: &CandidateState,
        asks_usage: bool,
    ) -> Result<Forwarded, Missed> {
        let received = self.prompt.bytes();
        let wanted = Wanted {
            model: (self.requested_model != candidate.model().as_str())
                .then(|| candidate.model().as_str()),
            cache_salt: state.takes_salt.then(|| self.salt.as_str()),
            usage: asks_usage,
        };
        let changed = rewrite::changed(&self.spans, &wanted);
        let edits = rewrite::edits(received, &self.spans, &wanted);
        let as_received = edits.is_empty();
        let body = self
            .prompt
            .with_edits(edits)
            .map_err(|_| Missed::Spent(ApiError::Internal.into()))?;
        let digest = match as_received {
            true => self.received,
            false => body.digest(),
        };
        Ok(Forwarded {
            body,
            digest,
            changed,
        })
    }

    /// What the upstream's response comes to.
    async fn judge(
        &self,
        response: Response<UpstreamBody>,
        asks_usage: bool,
        recorder: &mut Recorder,
    ) -> Result<Answer, Attempted> {
        if !response.status().is_success() {
            let status = response.status().as_u16();
            let now = UNIX_EPOCH + Duration::from_secs(self.clock.now().secs());
            let (refusal, body) = error_body::read(response, self.timeouts().idle, now).await;
            if asks_usage && error_body::is_about_stream_options(status, &body) {
                return Err(Attempted::UsageRefused);
            }
            return Err(Missed::Spent(Refusal::Upstream(refusal)).into());
        }
        let wanted = answer::Wanted {
            strip_usage: asks_usage,
        };
        let begun = Answer::begin(response, wanted, self.timeouts().into()).await;
        begun.map_err(|failed| {
            let (cause, refusal) = match failed {
                Failed::Refused(refusal) => (refusal.cause(), Refusal::Upstream(refusal)),
                Failed::Silent => (Cause::Timeout, ApiError::UpstreamTimeout.into()),
                Failed::Broke => (Cause::Closed, ApiError::UpstreamUnavailable.into()),
            };
            recorder.upstream_failed(cause);
            Missed::Spent(refusal).into()
        })
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
        recorder.upstream_failed(why.cause());
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
        NotVerified::Unavailable(error) => match error {
            EvidenceError::Address | EvidenceError::Connection | EvidenceError::Tls => {
                ApiError::UpstreamUnavailable
            }
            EvidenceError::ConnectTimeout => ApiError::UpstreamTimeout,
            EvidenceError::ReportBusy | EvidenceError::ReportTimeout => {
                ApiError::UpstreamVerificationBusy
            }
            EvidenceError::Report | EvidenceError::Verdict => ApiError::UpstreamVerificationFailed,
        },
        NotVerified::Rejected(_) | NotVerified::NotAmongPinned => {
            ApiError::UpstreamVerificationFailed
        }
    }
}

/// The bytes for one candidate.
struct Forwarded {
    body: OutgoingPrompt,
    digest: Sha256Digest,
    /// Members that are not as the caller sent them.
    changed: Vec<&'static str>,
}

/// Why one attempt gave no answer.
enum Attempted {
    Missed(Missed),
    /// The upstream refused the request because it was asked for the usage of the stream.
    UsageRefused,
    /// The upstream did not process the request and asks for another connection.
    Misdirected,
}

impl From<Missed> for Attempted {
    fn from(missed: Missed) -> Self {
        Attempted::Missed(missed)
    }
}

impl Attempted {
    fn missed(self, recorder: &mut Recorder) -> Missed {
        match self {
            Attempted::Misdirected => {
                recorder.upstream_failed(Cause::Closed);
                Missed::Spent(ApiError::UpstreamUnavailable.into())
            }
            Attempted::Missed(missed) => missed,
            // It was not asked.
            Attempted::UsageRefused => Missed::Spent(ApiError::Internal.into()),
        }
    }
}

type Sent = Result<Result<Response<UpstreamBody>, PlainFailure>, tokio::time::error::Elapsed>;

/// The head of a response, or why there is none.
fn arrived(sent: Sent, recorder: &mut Recorder) -> Result<Response<UpstreamBody>, Missed> {
    let (cause, error) = match sent {
        Ok(Ok(response)) => return Ok(response),
        Ok(Err(PlainFailure::Connect(why))) => {
            recorder.not_forwarded();
            return Err(Missed::Unused(Unused::Connect(why)));
        }
        Ok(Err(PlainFailure::Send(SendFailure::NotSent))) => {
            recorder.not_forwarded();
            return Err(Missed::Unused(Unused::Stale));
        }
        Ok(Err(PlainFailure::Send(
            SendFailure::Misdirected | SendFailure::MaybeSent(NoResponse::Closed),
        ))) => (Cause::Closed, ApiError::UpstreamUnavailable),
        Ok(Err(PlainFailure::Send(SendFailure::MaybeSent(NoResponse::Head)))) => {
            (Cause::Head, ApiError::UpstreamUnavailable)
        }
        Err(_elapsed) => (Cause::Timeout, ApiError::UpstreamTimeout),
    };
    recorder.upstream_failed(cause);
    Err(Missed::Spent(error.into()))
}
