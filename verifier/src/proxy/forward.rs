//! One request through the proxy: leases a verified connection, names the keyset it belongs to, sends the request,
//! passes the response back, and checks its receipt.
//!
//! A request is sent again at most once, and only if the service processed nothing: no byte was
//! sent, or the service refused on the precondition header before it read the body.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::fetch::{self, MAX_MODELS};
use super::http_rules::{self, KEYSET_DIGEST, RECEIPT_ID, carries_prompt};
use super::receipt_archive;
use super::receipts::{self, Exchange, ReceiptId, ReceiptProblem};
use super::refusal::Refusal;
use super::request_body::RequestBody;
use super::request_facts::RequestFacts;
use super::response_body::{Ending, OnEnd, ResponseBody};
use super::state::{LocalBody, Proxy};
use super::upstream_models::{Models, Upstreams};
use crate::receipt_check::UpstreamOutcome;
use attest_channel::{Accept, AttestedBody, Lease, NotSent, SendError};
use attest_core::{Serving, Sha256Digest, TrustedPeer};

const ATTEMPTS: usize = 2;

impl Proxy {
    pub(super) async fn forward(
        self: &Arc<Self>,
        request: Request<Incoming>,
        target: PathAndQuery,
    ) -> Result<Response<LocalBody>, Refusal> {
        self.distrust.check()?;
        let (parts, body) = request.into_parts();
        let prompt = RequestBody::read(body, self.options.max_body).await?;
        let mut rejected_by = None;
        for _ in 0..ATTEMPTS {
            let lease = self.lease(rejected_by).await?;
            let lease = self
                .require_verified_upstream(lease, &parts, &prompt)
                .await?;
            let peer = Arc::clone(lease.peer());
            match self.send(lease, &parts, &target, &prompt, &peer).await? {
                Sent::Answer(response) => {
                    return self.pass_back(*response, &parts, &target, &prompt, peer);
                }
                Sent::Again => rejected_by = Some(peer.keyset_digest()),
            }
        }
        Err(Refusal::KeysetChanging)
    }

    /// A verified connection; after an attempt that a service of a new epoch refused, to another keyset than the
    /// one that attempt named.
    async fn lease(&self, rejected_by: Option<Sha256Digest>) -> Result<Lease, Refusal> {
        let leased = match rejected_by {
            None => self.channel.lease().await,
            Some(old) => {
                let another = |peer: &TrustedPeer| match peer.keyset_digest() == old {
                    true => Accept::No,
                    false => Accept::Yes,
                };
                self.channel.lease_for(&another).await
            }
        };
        leased.map_err(|error| self.refusal(error))
    }

    async fn send(
        &self,
        lease: Lease,
        parts: &Parts,
        target: &PathAndQuery,
        prompt: &RequestBody,
        peer: &TrustedPeer,
    ) -> Result<Sent, Refusal> {
        let request = upstream_request(parts, target, prompt, peer);
        match lease.send(request).await {
            Ok(response) if keyset_changed(&response, &parts.headers, peer) => Ok(Sent::Again),
            Ok(response) => Ok(Sent::Answer(Box::new(response))),
            // The channel has tried another connection to the same peer, or the peer's epoch has ended: another one answers.
            Err(SendError::NotSent(NotSent::Stale) | SendError::Misdirected) => Ok(Sent::Again),
            Err(SendError::NotSent(NotSent::Channel(error))) => Err(self.refusal(error)),
            Err(SendError::NotSent(NotSent::WrongOrigin)) => Err(Refusal::Target),
            Err(SendError::Interrupted(_)) => Err(Refusal::Broken),
        }
    }

    fn pass_back(
        self: &Arc<Self>,
        response: Response<AttestedBody>,
        parts: &Parts,
        target: &PathAndQuery,
        prompt: &RequestBody,
        peer: Arc<TrustedPeer>,
    ) -> Result<Response<LocalBody>, Refusal> {
        let prompted = carries_prompt(&parts.method, target.path());
        let named = response
            .headers()
            .get(RECEIPT_ID)
            .and_then(|v| v.to_str().ok())
            .and_then(ReceiptId::parse);
        let (head, body) = response.into_parts();
        let mut out = Response::new(());
        *out.status_mut() = head.status;
        *out.headers_mut() = http_rules::toward_caller(&head.headers);
        let body = match named {
            Some(receipt_id) if prompted => {
                let exchange = Exchange {
                    receipt_id,
                    method: parts.method.clone(),
                    path: target.path().to_owned(),
                    authorization: parts.headers.get(AUTHORIZATION).cloned(),
                    peer,
                    request: prompt.hash(),
                    response: None,
                };
                let ending = self.ending();
                if ending == Ending::AfterReceipt {
                    out.headers_mut().remove(CONTENT_LENGTH);
                }
                ResponseBody::with_receipt(body, ending, self.check_at_end(exchange))
            }
            _ if prompted && self.options.require_receipt && head.status.is_success() => {
                return Err(Refusal::NoReceipt);
            }
            _ => ResponseBody::plain(body),
        };
        Ok(out.map(|()| body.boxed_unsync()))
    }

    fn ending(&self) -> Ending {
        if self.options.require_receipt {
            Ending::AfterReceipt
        } else {
            Ending::AtOnce
        }
    }

    /// Called when the last byte was passed on: the check runs in a task that the proxy owns, so that it
    /// finishes even if the caller has disconnected.
    fn check_at_end(self: &Arc<Self>, mut exchange: Exchange) -> OnEnd {
        let proxy = Arc::clone(self);
        Box::new(move |digest| {
            exchange.response = digest;
            let (tx, rx) = oneshot::channel();
            let owner = Arc::clone(&proxy);
            owner.tasks.spawn(async move {
                let verified = proxy.check_receipt(exchange).await;
                let _ = tx.send(verified);
            });
            rx
        })
    }

    /// Returns the lease, or another one to the same keyset, if only a verified upstream may serve `prompt`. A request
    /// may demand that itself, `"provider": {"aci_verified": true}` (ACI/1 §5.3); otherwise its model decides. The
    /// receipt's statement is compared afterwards in any case.
    async fn require_verified_upstream(
        &self,
        lease: Lease,
        parts: &Parts,
        prompt: &RequestBody,
    ) -> Result<Lease, Refusal> {
        let serves_itself = lease.peer().serving() == Serving::Direct;
        let allowed = self.options.upstreams == Upstreams::AnyAllowed;
        if serves_itself || allowed || is_empty_request(&parts.method, prompt) {
            return Ok(lease);
        }
        let request = RequestFacts::read(prompt.bytes()).ok_or(Refusal::ModelUnreadable)?;
        if request.demands_verified {
            return Ok(lease);
        }
        let keyset = lease.peer().keyset_digest();
        if let Some(models) = self.models.get(&keyset) {
            return models.check(&request.model).map(|()| lease);
        }
        let models = Arc::new(self.fetch_models(lease, parts).await?);
        self.models.put(keyset, &models);
        models.check(&request.model)?;
        let same = |peer: &TrustedPeer| match peer.keyset_digest() == keyset {
            true => Accept::Yes,
            false => Accept::No,
        };
        let leased = self.channel.lease_for(&same).await;
        leased.map_err(|error| self.refusal(error))
    }

    /// With the caller's credential, since the service may show different lists to different callers.
    async fn fetch_models(&self, lease: Lease, parts: &Parts) -> Result<Models, Refusal> {
        let authorization = parts.headers.get(AUTHORIZATION);
        let fetched = fetch::fetch_on(lease, "/v1/models", authorization, MAX_MODELS).await;
        let bytes = fetched.map_err(|error| Refusal::ModelsNotShown {
            status: error.status,
            reason: error.reason,
        })?;
        Models::parse(&bytes).ok_or_else(|| Refusal::ModelsNotShown {
            status: None,
            reason: "no list of models".to_owned(),
        })
    }

    /// Checks one receipt, reports the outcome, and stops all further requests if the receipt contradicts the exchange
    /// and receipts are required.
    async fn check_receipt(&self, exchange: Exchange) -> bool {
        let id = exchange.receipt_id.as_str().to_owned();
        let whole = exchange.response.is_some();
        match receipts::fetch_and_check(&self.channel, &exchange, self.options.upstreams).await {
            Ok(receipt) => {
                self.journal
                    .line(&receipt_line(&id, whole, &receipt.upstream));
                if let Some(archive) = &self.options.archive {
                    let journal = &*self.journal;
                    receipt_archive::store(&self.channel, archive, &exchange, &receipt, journal)
                        .await;
                }
                true
            }
            Err(problem) => {
                self.journal
                    .line(&format!("RECEIPT {id} NOT VERIFIED: {problem}"));
                if matches!(problem, ReceiptProblem::Contradicts(_)) && self.options.require_receipt
                {
                    self.distrust.set();
                    self.journal
                        .line("nothing more is sent until this proxy is restarted");
                }
                false
            }
        }
    }
}

enum Sent {
    Answer(Box<Response<AttestedBody>>),
    Again,
}

fn upstream_request(
    parts: &Parts,
    target: &PathAndQuery,
    prompt: &RequestBody,
    peer: &TrustedPeer,
) -> Request<Bytes> {
    let mut request = Request::new(prompt.share());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = Uri::from(target.clone());
    *request.headers_mut() = http_rules::toward_upstream(&parts.headers);
    if !parts.headers.contains_key(KEYSET_DIGEST)
        && let Ok(digest) = HeaderValue::from_str(&peer.keyset_digest().to_string())
    {
        request.headers_mut().insert(KEYSET_DIGEST, digest);
    }
    request
}

/// Whether the precondition that this proxy set was not met: the service names another keyset. A 412 for
/// another reason, or on the caller's precondition, is passed to the caller.
fn keyset_changed<B>(response: &Response<B>, requested: &HeaderMap, peer: &TrustedPeer) -> bool {
    let now = response
        .headers()
        .get(KEYSET_DIGEST)
        .and_then(|v| v.to_str().ok());
    response.status() == StatusCode::PRECONDITION_FAILED
        && !requested.contains_key(KEYSET_DIGEST)
        && now.is_some_and(|digest| digest != peer.keyset_digest().to_string())
}

/// A request without a body, of a method that has none.
fn is_empty_request(method: &Method, prompt: &RequestBody) -> bool {
    let has_none = [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS];
    has_none.contains(method) && prompt.bytes().is_empty()
}

fn receipt_line(id: &str, whole: bool, upstream: &UpstreamOutcome) -> String {
    let upstream = match upstream {
        UpstreamOutcome::NoUpstream => String::new(),
        UpstreamOutcome::Verified(session) => format!(", upstream verified in session {session}"),
        UpstreamOutcome::NotVerified => ", UPSTREAM NOT VERIFIED".to_owned(),
    };
    let part = if whole {
        ""
    } else {
        ", response incomplete and not compared"
    };
    format!("receipt {id} verified{part}{upstream}")
}
