//! `POST /v1/chat/completions`, `/v1/completions`, `/v1/embeddings`: admission, then the relay.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body::{Frame, SizeHint};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use super::{PublicState, state::Connection};
use crate::admit::{Admitted, ApiKey, RequestSlot, Unserved};
use crate::relay;
use gateway_base::config::OnRevoke;
use gateway_base::errors::{ApiError, add_rate_headers};
use gateway_base::events::Event;
use gateway_base::request::Endpoint;

/// The endpoint that a request is for, if it is an inference request. These do not pass through the router.
pub(crate) fn endpoint(method: &Method, path: &str) -> Option<Endpoint> {
    let endpoints = [Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings];
    let mut endpoints = endpoints.into_iter().filter(|_| method == Method::POST);
    endpoints.find(|endpoint| endpoint.path() == path)
}

/// Reads and checks a request. A refusal is a response.
pub(crate) async fn admit<B>(
    state: &PublicState,
    connection: &Connection,
    endpoint: Endpoint,
    head: (Result<ApiKey, ApiError>, &HeaderMap),
    body: B,
) -> Result<Admitted, Response<Body>>
where
    B: http_body::Body<Data = Bytes>,
{
    let epoch = connection.epoch.clone();
    let admission = &state.admission;
    let admitted = admission.admit(epoch, endpoint, head, body);
    let admitted = admitted.await;
    admitted.map_err(|error| {
        let event = Event::RequestRefused {
            endpoint,
            status: error.status().as_u16(),
            kind: error.kind(),
        };
        state.metrics.count_and_emit(event);
        if let ApiError::OverBudget { budget, .. } = &error {
            state.metrics.over_budget(budget);
        }
        if let ApiError::RateLimited(refusal) = &error {
            state.metrics.limit_refused(refusal);
        }
        if let Some(code) = error.refused_by_policy() {
            state.ledger.audit().count_refusal(&code);
        }
        error.into_response()
    })
}

/// Serves an admitted request.
pub(crate) async fn respond(
    state: &PublicState,
    connection: &Connection,
    admitted: Admitted,
) -> Response<ClientBody> {
    state.report_queue.note_authenticated(connection.peer);
    let revocation = match connection.epoch.config.keys.on_revoke {
        OnRevoke::Finish => None,
        OnRevoke::Cut => Some(admitted.slot.revocation()),
    };
    // From here on the slot belongs to the response: it is returned when `InFlightBody` is dropped, or here on a
    // revocation.
    let rate = admitted.rate_state();
    let in_flight = InFlight::enter(&state.metrics.in_flight, admitted.slot);
    let flushes = connection.flushes.clone();
    let serving = async {
        match admitted.request {
            Ok(request) => relay::serve_inference(&state.services, request, flushes).await,
            Err(refused) => match *refused {
                Unserved::UnknownModel(request) => {
                    relay::refuse_unknown_model(&state.services, request)
                }
                Unserved::NotAuthorized(request) => {
                    relay::refuse_not_authorized(&state.services, request)
                }
            },
        }
    };
    let mut response = match revocation.clone() {
        None => serving.await,
        // A revocation before the response's head drops `serving`. Its receipt is stored by that drop, and no candidate
        // is tried any more.
        Some(revocation) => tokio::select! {
            response = serving => response,
            () = revoked(revocation) => return ApiError::InvalidKey.into_response().map(ClientBody::Routed),
        },
    };
    if let Some(rate) = rate {
        add_rate_headers(response.headers_mut(), &rate);
    }
    response.map(|body| {
        ClientBody::InFlight(InFlightBody {
            body: Some(body),
            revoked: revocation.map(|revocation| Box::pin(revoked(revocation)) as Pin<Box<_>>),
            _in_flight: in_flight,
        })
    })
}

/// Ready when the key is revoked.
async fn revoked(mut revocation: watch::Receiver<bool>) {
    if revocation.wait_for(|revoked| *revoked).await.is_err() {
        std::future::pending().await
    }
}

/// A request in flight: its slot, and its count in the gauge, until the last byte of its response.
struct InFlight {
    gauge: Gauge,
    _slot: RequestSlot,
}

impl InFlight {
    fn enter(gauge: &Gauge, slot: RequestSlot) -> Self {
        gauge.inc();
        Self {
            gauge: gauge.clone(),
            _slot: slot,
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// The body of every response on a connection.
pub(crate) enum ClientBody {
    InFlight(InFlightBody),
    /// From a handler behind the router, or a refusal.
    Routed(Body),
}

/// A response body that keeps its request counted, and is aborted when its key is revoked, if so configured.
pub(crate) struct InFlightBody {
    /// `None` once it was aborted.
    body: Option<relay::ResponseBody>,
    /// Ready when the key is revoked; `None` if responses are to finish.
    revoked: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _in_flight: InFlight,
}

/// Makes the server close the client's connection without ending the response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Aborted {
    #[error(transparent)]
    Relay(relay::Aborted),
    #[error("the API key was revoked")]
    KeyRevoked,
    #[error(transparent)]
    Routed(axum::Error),
}

impl http_body::Body for InFlightBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let this = &mut *self;
        // The revocation is checked before each piece, so that no byte is sent after it.
        if this
            .revoked
            .as_mut()
            .is_some_and(|revoked| revoked.as_mut().poll(cx).is_ready())
        {
            this.revoked = None;
            // Dropping it writes its receipt and its row, up to the bytes sent.
            this.body = None;
            return Poll::Ready(Some(Err(Aborted::KeyRevoked)));
        }
        match &mut this.body {
            Some(body) => Pin::new(body).poll_frame(cx).map_err(Aborted::Relay),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map(http_body::Body::size_hint)
            .unwrap_or_default()
    }
}

impl http_body::Body for ClientBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match self.get_mut() {
            Self::InFlight(body) => Pin::new(body).poll_frame(cx),
            Self::Routed(body) => Pin::new(body).poll_frame(cx).map_err(Aborted::Routed),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::InFlight(body) => body.is_end_stream(),
            Self::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::InFlight(body) => body.size_hint(),
            Self::Routed(body) => body.size_hint(),
        }
    }
}
