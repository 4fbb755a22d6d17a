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

use super::{Front, state::Connection};
use crate::admit::Slot;
use crate::events::Event;
use crate::relay;
use crate::request::Endpoint;

pub(super) async fn chat(
    state: State<Arc<Front>>,
    connection: Connection,
    request: Request<Body>,
) -> Response<Body> {
    serve(&state, connection, Endpoint::Chat, request).await
}

pub(super) async fn completions(
    state: State<Arc<Front>>,
    connection: Connection,
    request: Request<Body>,
) -> Response<Body> {
    serve(&state, connection, Endpoint::Completions, request).await
}

pub(super) async fn embeddings(
    state: State<Arc<Front>>,
    connection: Connection,
    request: Request<Body>,
) -> Response<Body> {
    serve(&state, connection, Endpoint::Embeddings, request).await
}

async fn serve(
    front: &Front,
    connection: Connection,
    endpoint: Endpoint,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let epoch = connection.epoch.clone();
    let admitted = match front
        .admission
        .admit(epoch, endpoint, &head.headers, body)
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
            front.metrics.tell(event);
            if let Some(code) = refused.error.refused_by_policy() {
                front.ledger.audit().refused(code);
            }
            return refused.error.into_response();
        }
    };
    front.desk.note_authenticated(connection.peer);
    let in_flight = InFlight::enter(&front.metrics.in_flight, admitted.slot);
    let response = relay::serve_inference(&front.back, admitted.request).await;
    response.map(|body| {
        Body::new(Accompanied {
            body,
            _in_flight: in_flight,
        })
    })
}

/// A request in flight: its slot and its place in the gauge, until the last byte of its response.
struct InFlight {
    gauge: Gauge,
    _slot: Slot,
}

impl InFlight {
    fn enter(gauge: &Gauge, slot: Slot) -> Self {
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

/// A response body that keeps its request counted.
struct Accompanied {
    body: Body,
    _in_flight: InFlight,
}

impl http_body::Body for Accompanied {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
