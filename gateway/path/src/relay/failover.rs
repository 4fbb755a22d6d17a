//! Tries candidates in order until the prompt was sent to one.
//!
//! The next candidate is tried only while the prompt was certainly not sent. Once a byte may have been written, no other
//! upstream gets the prompt, whatever happens: a second copy of a prompt is a second disclosure.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::Response;
use tokio::time::timeout;

use super::answer::{self, Answer, NoAnswer};
use super::error_body;
use super::refusal::Refusal;
use super::rewrite::{self, Rewrites, Spans};
use crate::admit::{AdmittedRequest, Constraints, RequestContext};
use crate::receipt::{Routed, Unfinished};
use attest_channel::Clock;
use attest_core::{Serving, SessionId, Sha256Digest};
use gateway_authorization::Permit;
use gateway_base::config::Timeouts;
use gateway_base::errors::ApiError;
use gateway_base::metering::Cause;
use gateway_base::request::Salt;
use gateway_upstream::channel::{
    ConnectFailure, EvidenceError, HttpUpstream, NoResponse, NotVerified, OutgoingPrompt,
    PlainFailure, ReceivedPrompt, SealablePrompt, SendFailure, UpstreamBody, VerifiedUpstream,
};
use gateway_upstream::route::{Candidate, CandidateState, RoutedModel};

/// An admitted request with its route, ready to be sent to candidates.
pub(super) struct RoutedRequest {
    context: RequestContext,
    model: RoutedModel,
    /// The client requested a stream's usage itself.
    usage_requested: bool,
    clock: Arc<dyn Clock>,
    spans: Spans,
    client_salt: Option<String>,
    constraints: Constraints,
    permit: Permit,
    prompt: ReceivedPrompt,
}

/// Why one candidate did not answer.
enum AttemptError {
    /// The prompt was not sent: another candidate may be tried.
    NotSent(NotSentReason),
    /// The upstream may have read it: no other candidate is tried.
    MaybeSent(Refusal),
}

/// Why the prompt was not sent to a candidate.
#[derive(Clone, Copy)]
enum NotSentReason {
    NotVerified(NotVerified),
    Connect(ConnectFailure),
    /// Connections were made, but closed before a byte was written.
    Closed,
}

impl NotSentReason {
    fn reason(self) -> String {
        match self {
            NotSentReason::NotVerified(why) => why.reason(),
            NotSentReason::Connect(why) => why.reason().to_owned(),
            NotSentReason::Closed => "connection_closed".to_owned(),
        }
    }

    fn cause(self) -> Cause {
        match self {
            NotSentReason::NotVerified(why) => why.cause(),
            NotSentReason::Connect(why) => why.cause(),
            NotSentReason::Closed => Cause::Closed,
        }
    }

    /// Whether the candidate is to be tried last for a while.
    fn is_unreachable(self) -> bool {
        match self {
            NotSentReason::NotVerified(why) => why.is_unreachable(),
            NotSentReason::Connect(_) => true,
            NotSentReason::Closed => false,
        }
    }
}

/// How many more connections to an enclave one request may make.
const RECONNECTS: usize = 2;

impl RoutedRequest {
    pub(super) fn new(request: Box<AdmittedRequest>, clock: &Arc<dyn Clock>) -> Self {
        let AdmittedRequest {
            context,
            model,
            fields,
            client_salt,
            prompt,
            permit,
        } = *request;
        Self {
            context,
            model,
            usage_requested: fields.include_usage == Some(true),
            clock: Arc::clone(clock),
            spans: Spans {
                model: fields.model_span,
                provider: fields.provider_span,
                cache_salt: fields.cache_salt,
            },
            client_salt,
            constraints: fields.constraints,
            permit,
            prompt: ReceivedPrompt::new(prompt),
        }
    }

    pub(super) fn context(&self) -> &RequestContext {
        &self.context
    }

    /// The received body, for its sealed record.
    pub(super) fn sealable(&self) -> SealablePrompt {
        self.prompt.sealable()
    }

    /// The answer of the first candidate that the prompt was sent to, or why there is none.
    pub(super) async fn serve(&self, receipt: &mut Unfinished<Routed>) -> Result<Answer, Refusal> {
        self.check_pins(receipt)?;
        let mut previous: Option<(&Candidate, NotSentReason)> = None;
        for (candidate, state) in self.in_order(receipt) {
            if let Some((passed_over, why)) = previous.take() {
                receipt.passed_over(passed_over.name(), &why.reason());
            }
            match self.attempt(candidate, state, receipt).await {
                Ok(answer) => {
                    state.health.mark_reachable();
                    return Ok(answer);
                }
                // Not yet written to the receipt: only if another candidate follows was this one passed over. Otherwise
                // it is the reason of the refusal.
                Err(AttemptError::NotSent(why)) => {
                    // Shared by all requests of this route, so that they do not each wait for the same connect timeout.
                    if why.is_unreachable() {
                        state.health.mark_unreachable();
                    }
                    previous = Some((candidate, why));
                }
                // It answered, or took the prompt: it is reachable, and no other candidate may get a copy.
                Err(AttemptError::MaybeSent(refusal)) => {
                    state.health.mark_reachable();
                    return Err(refusal);
                }
            }
        }
        Err(self.no_candidate_left(previous, receipt))
    }

    /// The candidates that may be used, in order of preference; those that recently could not be connected to come last.
    /// Those that the authorization policy does not allow go into the receipt as passed over.
    fn in_order(&self, receipt: &mut Unfinished<Routed>) -> Vec<(&Candidate, &CandidateState)> {
        let route = &self.model.route;
        let authorization = &self.context.epoch.authorization;
        let candidates = route.candidates().enumerate();
        let usable = candidates.filter_map(|(place, (candidate, state))| {
            if !route.usable(candidate, self.required()) {
                return None;
            }
            match authorization.may_serve(&self.permit, place) {
                Ok(()) => Some((candidate, state)),
                Err(code) => {
                    receipt.passed_over(candidate.name(), &format!("not_authorized:{code}"));
                    None
                }
            }
        });
        let (mut order, last): (Vec<_>, Vec<_>) =
            usable.partition(|(_, state)| state.health.may_be_tried());
        order.extend(last);
        order
    }

    /// Whether the prompt may be sent to verified upstreams only.
    fn required(&self) -> bool {
        self.model.route.confidential || self.constraints.require_verified()
    }

    fn pinned(&self) -> Option<&[SessionId]> {
        self.constraints.session_ids.as_deref()
    }

    /// A direct service has no sessions, so it refuses any list of them.
    fn check_pins(&self, receipt: &mut Unfinished<Routed>) -> Result<(), Refusal> {
        let Some(pinned) = self.pinned() else {
            return Ok(());
        };
        let known = self.model.route.sessions();
        if known.iter().any(|session| pinned.contains(&session.id())) {
            return Ok(());
        }
        if self.model.route.serving == Serving::Aggregator {
            receipt.unverified(true, &self.upstream_model(), "session_not_accepted", None);
        }
        Err(ApiError::SessionNotAccepted.into())
    }

    fn upstream_model(&self) -> String {
        self.model
            .route
            .candidates
            .first()
            .map_or_else(String::new, |first| first.model().to_string())
    }

    /// One attempt; another one on the same upstream if it refuses our request for the usage of a stream, or serves no more
    /// requests on a connection.
    async fn attempt(
        &self,
        candidate: &Candidate,
        state: &CandidateState,
        receipt: &mut Unfinished<Routed>,
    ) -> Result<Answer, AttemptError> {
        let mut request_usage =
            self.context.stream && !self.usage_requested && state.may_request_usage();
        let mut reconnects = 0;
        loop {
            let attempted = self
                .attempt_once(candidate, state, request_usage, receipt)
                .await;
            match attempted {
                Err(SingleAttemptError::UsageRefused) if request_usage => {
                    state.set_usage_refused();
                    receipt.repeated(candidate.name(), "stream_options_refused");
                    request_usage = false;
                }
                // The enclave's epoch ended. The same enclave gets the prompt again, on a connection that is verified under its
                // next epoch.
                Err(SingleAttemptError::Misdirected) if reconnects < RECONNECTS => {
                    reconnects += 1;
                    receipt.repeated(candidate.name(), "epoch_ended");
                }
                Err(SingleAttemptError::Failed(AttemptError::NotSent(NotSentReason::Closed)))
                    if matches!(candidate, Candidate::Verified(_)) && reconnects < RECONNECTS =>
                {
                    reconnects += 1;
                }
                other => return other.map_err(|attempted| attempted.final_error(receipt)),
            }
        }
    }

    async fn attempt_once(
        &self,
        candidate: &Candidate,
        state: &CandidateState,
        request_usage: bool,
        receipt: &mut Unfinished<Routed>,
    ) -> Result<Answer, SingleAttemptError> {
        let response = match candidate {
            Candidate::Verified(upstream) => {
                let prompt = self.outgoing(candidate, state, request_usage)?;
                self.send_verified(candidate, upstream, prompt, receipt)
                    .await?
            }
            Candidate::Local(engine) => {
                let prompt = self.outgoing(candidate, state, request_usage)?;
                self.send_unattested(candidate, engine.http(), prompt, receipt)
                    .await?
            }
            Candidate::Plain(upstream) => {
                receipt.unverified(
                    false,
                    candidate.model(),
                    "not_attested",
                    Some(candidate.name()),
                );
                let prompt = self.outgoing(candidate, state, request_usage)?;
                self.send_unattested(candidate, upstream.http(), prompt, receipt)
                    .await?
            }
        };
        self.read_response(response, request_usage, receipt).await
    }

    async fn send_verified(
        &self,
        candidate: &Candidate,
        upstream: &VerifiedUpstream,
        prompt: Forwarded,
        receipt: &mut Unfinished<Routed>,
    ) -> Result<Response<UpstreamBody>, SingleAttemptError> {
        // The connection is verified before the prompt is touched; a failure leaves nothing sent, and the next
        // candidate may be tried.
        let opened = upstream.open(self.pinned()).await;
        let connection =
            opened.map_err(|why| AttemptError::NotSent(NotSentReason::NotVerified(why)))?;
        receipt.verified(self.required(), candidate.model(), connection.session());
        // Recorded before sending: if this task is dropped while it sends, the receipt says that the prompt may have left.
        receipt.forwarded(candidate.name(), prompt.digest, &prompt.changed);
        let sending =
            connection.send_prompt(self.context.endpoint, self.context.stream, &prompt.body);
        let sent = timeout(self.timeouts().first_byte, sending).await;
        let sent = sent.map(|sent| sent.map_err(PlainFailure::Send));
        response_head(sent, receipt)
    }

    async fn send_unattested(
        &self,
        candidate: &Candidate,
        upstream: &HttpUpstream,
        prompt: Forwarded,
        receipt: &mut Unfinished<Routed>,
    ) -> Result<Response<UpstreamBody>, SingleAttemptError> {
        // Recorded before sending, as in `send_verified`.
        receipt.forwarded(candidate.name(), prompt.digest, &prompt.changed);
        let sending =
            upstream.send_prompt(self.context.endpoint, self.context.stream, &prompt.body);
        let sent = timeout(self.timeouts().first_byte, sending).await;
        response_head(sent, receipt)
    }

    /// The bytes for this candidate.
    fn outgoing(
        &self,
        candidate: &Candidate,
        state: &CandidateState,
        request_usage: bool,
    ) -> Result<Forwarded, AttemptError> {
        let received = self.prompt.bytes();
        let salt = state.takes_salt.then(|| {
            let salts = &self.context.epoch.cache_salts;
            salts.derive(&self.context.caller.tenant, self.client_salt.as_deref())
        });
        let wanted = Rewrites {
            model: (self.model.requested_name != *candidate.model())
                .then(|| candidate.model().as_str()),
            cache_salt: salt.as_ref().map(Salt::as_str),
            usage: request_usage,
        };
        let changed = rewrite::changed(&self.spans, &wanted);
        let edits = rewrite::edits(received, &self.spans, &wanted);
        let as_received = edits.is_empty();
        let body = self
            .prompt
            .with_edits(edits)
            .map_err(|_| AttemptError::MaybeSent(ApiError::Internal.into()))?;
        let digest = match as_received {
            true => self.context.received_hash,
            false => body.digest(),
        };
        Ok(Forwarded {
            body,
            digest,
            changed,
        })
    }

    /// Reads the upstream's response: an answer, or a refusal.
    async fn read_response(
        &self,
        response: Response<UpstreamBody>,
        request_usage: bool,
        receipt: &mut Unfinished<Routed>,
    ) -> Result<Answer, SingleAttemptError> {
        if !response.status().is_success() {
            let status = response.status().as_u16();
            let now = UNIX_EPOCH + Duration::from_secs(self.clock.now().secs());
            let (refusal, body) = error_body::read(response, self.timeouts().idle, now).await;
            if request_usage && error_body::is_about_stream_options(status, &body) {
                return Err(SingleAttemptError::UsageRefused);
            }
            return Err(AttemptError::MaybeSent(Refusal::Upstream(refusal)).into());
        }
        let wanted = answer::AnswerOptions {
            strip_usage: request_usage,
        };
        let begun = Answer::begin(response, wanted, self.timeouts().into()).await;
        begun.map_err(|failed| {
            let (cause, refusal) = match failed {
                NoAnswer::Refused(refusal) => (refusal.cause(), Refusal::Upstream(refusal)),
                NoAnswer::TimedOut => (Cause::Timeout, ApiError::UpstreamTimeout.into()),
                NoAnswer::Closed => (Cause::Closed, ApiError::UpstreamUnavailable.into()),
            };
            receipt.upstream_failed(cause);
            AttemptError::MaybeSent(refusal).into()
        })
    }

    /// The refusal when every candidate was passed over. The last one decides.
    fn no_candidate_left(
        &self,
        last: Option<(&Candidate, NotSentReason)>,
        receipt: &mut Unfinished<Routed>,
    ) -> Refusal {
        let aggregator = self.model.route.serving == Serving::Aggregator;
        let Some((candidate, why)) = last else {
            // Verification is required, and no candidate of this model can be verified.
            if aggregator {
                receipt.unverified(true, &self.upstream_model(), "not_attested", None);
            }
            return ApiError::UpstreamVerificationFailed.into();
        };
        receipt.upstream_failed(why.cause());
        match why {
            NotSentReason::NotVerified(not_verified) => {
                let reason = not_verified.reason();
                receipt.unverified(true, candidate.model(), &reason, Some(candidate.name()));
                match self.pinned() {
                    Some(_) => ApiError::SessionNotAccepted.into(),
                    None => not_verified_error(not_verified).into(),
                }
            }
            NotSentReason::Connect(ConnectFailure::Timeout) => ApiError::UpstreamTimeout.into(),
            NotSentReason::Connect(_) | NotSentReason::Closed => {
                ApiError::UpstreamUnavailable.into()
            }
        }
    }

    fn timeouts(&self) -> &Timeouts {
        &self.context.epoch.config.timeouts
    }
}

/// An enclave that could not be connected to, or was busy, was neither accepted nor refused.
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

/// The body for one candidate.
struct Forwarded {
    body: OutgoingPrompt,
    digest: Sha256Digest,
    /// Members that differ from the received body.
    changed: Vec<&'static str>,
}

/// Why one attempt failed.
enum SingleAttemptError {
    Failed(AttemptError),
    /// The upstream refused our request for the usage of the stream.
    UsageRefused,
    /// The upstream did not process the request and requires another connection.
    Misdirected,
}

impl From<AttemptError> for SingleAttemptError {
    fn from(error: AttemptError) -> Self {
        SingleAttemptError::Failed(error)
    }
}

impl SingleAttemptError {
    fn final_error(self, receipt: &mut Unfinished<Routed>) -> AttemptError {
        match self {
            SingleAttemptError::Misdirected => {
                receipt.upstream_failed(Cause::Closed);
                AttemptError::MaybeSent(ApiError::UpstreamUnavailable.into())
            }
            SingleAttemptError::Failed(error) => error,
            // Usage was not requested.
            SingleAttemptError::UsageRefused => AttemptError::MaybeSent(ApiError::Internal.into()),
        }
    }
}

type Sent = Result<Result<Response<UpstreamBody>, PlainFailure>, tokio::time::error::Elapsed>;

/// The head of a response, or why there is none.
fn response_head(
    sent: Sent,
    receipt: &mut Unfinished<Routed>,
) -> Result<Response<UpstreamBody>, SingleAttemptError> {
    let (cause, error) = match sent {
        Ok(Ok(response)) => return Ok(response),
        Ok(Err(PlainFailure::Connect(why))) => {
            // Certainly not sent: the record made before sending is taken back.
            receipt.not_forwarded();
            return Err(AttemptError::NotSent(NotSentReason::Connect(why)).into());
        }
        Ok(Err(PlainFailure::Send(SendFailure::NotSent))) => {
            receipt.not_forwarded();
            return Err(AttemptError::NotSent(NotSentReason::Closed).into());
        }
        Ok(Err(PlainFailure::Send(SendFailure::Misdirected))) => {
            // A 421 says that the request was not processed, but it was read: `forwarded` stays in the receipt.
            return Err(SingleAttemptError::Misdirected);
        }
        Ok(Err(PlainFailure::Send(SendFailure::MaybeSent(NoResponse::Closed)))) => {
            (Cause::Closed, ApiError::UpstreamUnavailable)
        }
        Ok(Err(PlainFailure::Send(SendFailure::MaybeSent(NoResponse::Head)))) => {
            (Cause::Head, ApiError::UpstreamUnavailable)
        }
        // The upstream may be working on the prompt: a timeout never leads to another candidate.
        Err(_elapsed) => (Cause::Timeout, ApiError::UpstreamTimeout),
    };
    receipt.upstream_failed(cause);
    Err(AttemptError::MaybeSent(error.into()).into())
}
