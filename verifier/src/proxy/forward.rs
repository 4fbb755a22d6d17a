//! One request through the proxy: lease a verified connection, name the keyset it belongs to, send,
//! pass the answer back. Sent anew at most once, and only where nothing was processed: no byte had
//! left, or the service refused on the precondition header before it read the body.

use std::sync::Arc;

use attest_channel::{Accept, ChannelError, Lease, LeasedBody, NotSent, SendError};
use attest_core::{Sha256Digest, TrustedPeer};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::answer::Refusal;
use super::headers::{self, KEYSET_DIGEST, RECEIPT_ID};
use super::keep::ReceiptId;
use super::passed_body::{AtEnd, Ending, PassedBody};
use super::receipts::Exchange;
use super::secret_body::{BodyError, SecretBody};
use super::target::carries_prompt;
use super::{LocalBody, Proxy};

const ATTEMPTS: usize = 2;

impl Proxy {
    pub(super) async fn forward(
        self: &Arc<Self>,
        request: Request<Incoming>,
        target: PathAndQuery,
    ) -> Result<Response<LocalBody>, Refusal> {
        self.distrust.allow()?;
        let (parts, body) = request.into_parts();
        let prompt = SecretBody::read(body, self.options.max_body).await?;
        let mut left_behind = None;
        for _ in 0..ATTEMPTS {
            let lease = self.lease(left_behind).await?;
            let lease = self.behind_is_verified(lease, &parts, &prompt).await?;
            let peer = Arc::clone(lease.peer());
            match self.send(lease, &parts, &target, &prompt, &peer).await? {
                Sent::Answer(response) => {
                    return self.pass_back(*response, &parts, &target, &prompt, peer);
                }
                Sent::Again => left_behind = Some(peer.keyset_digest()),
            }
        }
        Err(Refusal::KeysetChanging)
    }

    /// A verified connection; after an attempt that met the end of an epoch, to another keyset.
    async fn lease(&self, left_behind: Option<Sha256Digest>) -> Result<Lease, Refusal> {
        let leased = match left_behind {
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

    pub(super) fn refusal(&self, error: ChannelError) -> Refusal {
        self.note_channel_error(&error);
        Refusal::from(error)
    }

    async fn send(
        &self,
        lease: Lease,
        parts: &Parts,
        target: &PathAndQuery,
        prompt: &SecretBody,
        peer: &TrustedPeer,
    ) -> Result<Sent, Refusal> {
        let request = upstream_request(parts, target, prompt, peer);
        match lease.send(request).await {
            Ok(response) if keyset_changed(&response, &parts.headers, peer) => Ok(Sent::Again),
            Ok(response) => Ok(Sent::Answer(Box::new(response))),
            // The channel has tried another connection to the same peer; somebody else answers now.
            Err(SendError::NotSent(NotSent::Stale)) => Ok(Sent::Again),
            Err(SendError::NotSent(NotSent::Channel(error))) => Err(self.refusal(error)),
            Err(SendError::NotSent(NotSent::WrongOrigin)) => Err(Refusal::Target),
            Err(SendError::Interrupted(_)) => Err(Refusal::Broken),
        }
    }

    fn pass_back(
        self: &Arc<Self>,
        response: Response<LeasedBody>,
        parts: &Parts,
        target: &PathAndQuery,
        prompt: &SecretBody,
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
        *out.headers_mut() = headers::toward_caller(&head.headers);
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
                PassedBody::watched(body, ending, self.settle_at_end(exchange))
            }
            _ if prompted && self.options.require_receipt && head.status.is_success() => {
                return Err(Refusal::NoReceipt);
            }
            _ => PassedBody::unwatched(body),
        };
        Ok(out.map(|()| body.boxed()))
    }

    fn ending(&self) -> Ending {
        if self.options.require_receipt {
            Ending::AfterReceipt
        } else {
            Ending::AtOnce
        }
    }

    /// What happens when the last byte has passed: the check runs under its own owner, so that it
    /// is finished even if the caller has gone.
    fn settle_at_end(self: &Arc<Self>, mut exchange: Exchange) -> AtEnd {
        let proxy = Arc::clone(self);
        Box::new(move |digest| {
            exchange.response = digest;
            let (tx, rx) = oneshot::channel();
            let owner = Arc::clone(&proxy);
            owner.tasks.spawn(async move {
                let holds = proxy.settle_receipt(exchange).await;
                let _ = tx.send(holds);
            });
            rx
        })
    }
}

enum Sent {
    Answer(Box<Response<LeasedBody>>),
    Again,
}

fn upstream_request(
    parts: &Parts,
    target: &PathAndQuery,
    prompt: &SecretBody,
    peer: &TrustedPeer,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(prompt.share()));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = Uri::from(target.clone());
    *request.headers_mut() = headers::toward_upstream(&parts.headers);
    if !parts.headers.contains_key(KEYSET_DIGEST)
        && let Ok(digest) = HeaderValue::from_str(&peer.keyset_digest().to_string())
    {
        request.headers_mut().insert(KEYSET_DIGEST, digest);
    }
    request
}

/// The precondition that this proxy set did not hold: the service names another keyset. A 412 for
/// any other reason, or on the caller's own precondition, is the caller's to read.
fn keyset_changed<B>(response: &Response<B>, asked: &HeaderMap, peer: &TrustedPeer) -> bool {
    let now = response
        .headers()
        .get(KEYSET_DIGEST)
        .and_then(|v| v.to_str().ok());
    response.status() == StatusCode::PRECONDITION_FAILED
        && !asked.contains_key(KEYSET_DIGEST)
        && now.is_some_and(|digest| digest != peer.keyset_digest().to_string())
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => Self::BodyTooLarge { limit },
            BodyError::Interrupted => Self::BodyInterrupted,
        }
    }
}

impl From<ChannelError> for Refusal {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Rejected(verdict) => Self::not_accepted(&verdict),
            ChannelError::Busy { retry_after, .. } => Self::Busy { retry_after },
            other => Self::Unreachable(other.to_string()),
        }
    }
}
