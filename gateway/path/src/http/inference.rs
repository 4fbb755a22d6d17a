//! `POST /v1/chat/completions`, `/v1/completions`, `/v1/embeddings`: admission, then the relay.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use super::{PublicState, state::Connection};
use crate::admit::RequestSlot;
use crate::relay::{self, ResponseBody};
use gateway_base::config::OnRevoke;
use gateway_base::errors::ApiError;
use gateway_base::events::Event;
use gateway_base::request::Endpoint;

pub(super) async fn chat(
    state: State<Arc<PublicState>>,
    connection: Connection,
    request: Request<Body>,
) -> Response<Body> {
    serve(&state, connection, Endpoint::Chat, request).await
}

pub(super) async fn completions(
    state: State<Arc<PublicState>>,
    connection: Connection,
    request: Request<Body>,
) -> Response<Body> {
    serve(&state, connection, Endpoint::Completions, request).await
}

pub(super) async fn embeddings(
    state: State<Arc<PublicState>>,
    connection: Connection,
    request: Request<Body>,
) -> Response<Body> {
    serve(&state, connection, Endpoint::Embeddings, request).await
}

async fn serve(
    state: &PublicState,
    connection: Connection,
    endpoint: Endpoint,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let epoch = connection.epoch.clone();
    let admitted = match state
        .admission
        .admit(epoch, endpoint, (&head.headers, connection.peer), body)
        .await
    {
        Ok(admitted) => admitted,
        Err(refused) => {
            if refused.body_unread {
                connection.leave_body_unread();
            }
            let event = Event::RequestRefused {
                endpoint,
                status: refused.error.status().as_u16(),
                kind: refused.error.kind(),
            };
            state.metrics.count_and_emit(event);
            if let Some(code) = refused.error.refused_by_policy() {
                state.ledger.audit().count_refusal(code);
            }
            return refused.error.into_response();
        }
    };
    state.report_queue.note_authenticated(connection.peer);
    let revocation = match connection.epoch.config.keys.on_revoke {
        OnRevoke::Finish => None,
        OnRevoke::Cut => Some(admitted.slot.revocation()),
    };
    // From here on the slot belongs to the response: it is returned when `InFlightBody` is dropped, or here on a
    // revocation.
    let in_flight = InFlight::enter(&state.metrics.in_flight, admitted.slot);
    let serving = async {
        match admitted.request {
            Ok(request) => {
                relay::serve_inference(&state.services, request, connection.flushes).await
            }
            Err(unknown) => relay::refuse_unknown_model(&state.services, unknown),
        }
    };
    let response = match revocation.clone() {
        None => serving.await,
        // A revocation before the response's head drops `serving`. Its receipt is stored by that drop, and no candidate
        // is tried any more.
        Some(revocation) => tokio::select! {
            response = serving => response,
            () = revoked(revocation) => return ApiError::InvalidKey.into_response(),
        },
    };
    response.map(|body| {
        Body::new(InFlightBody {
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

/// A response body that keeps its request counted, and is aborted when its key is revoked, if so configured.
struct InFlightBody {
    /// `None` once it was aborted.
    body: Option<ResponseBody>,
    /// Ready when the key is revoked; `None` if responses are to finish.
    revoked: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _in_flight: InFlight,
}

/// Makes the server close the client's connection without ending the response.
#[derive(Debug, thiserror::Error)]
enum Aborted {
    #[error(transparent)]
    Relay(relay::Aborted),
    #[error("the API key was revoked")]
    KeyRevoked,
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
