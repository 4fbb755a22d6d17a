//! The requests of one client connection, one after another.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, Response, Version, request};
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};
use tower_service::Service as _;

use super::http1::{self, Feeder, Head, HeadLimits, Received, RequestBody, ResponseTo};
use crate::admit::ApiKey;
use crate::http::{ClientBody, Connection, PublicState, finish, inference, is_health};
use gateway_base::errors::{ApiError, HeadFault, TokenFault};
use gateway_base::events::{self, Event};
use gateway_base::request::Endpoint;
use gateway_contract::epoch::Epoch;

/// A connection is closed after a request whose head was longer.
const LONG_HEAD: usize = 8 * 1024;

/// Where requests are authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// By API key or token, which also decides about the connection's slot.
    ApiKey,
    /// In the handlers.
    ByHandlers,
}

/// What connections share, cheap to clone.
#[derive(Clone)]
pub(super) struct Service {
    state: Arc<PublicState>,
    router: Router,
    authentication: Authentication,
}

impl Service {
    pub fn new(state: Arc<PublicState>, router: Router, authentication: Authentication) -> Self {
        Self {
            state,
            router,
            authentication,
        }
    }

    /// The active epoch, and the ones after it.
    pub fn epochs(&self) -> watch::Receiver<Arc<Epoch>> {
        self.state.rotation.watch()
    }

    pub fn authentication(&self) -> Authentication {
        self.authentication
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Close {
        /// The client may still be sending.
        linger: bool,
    },
    /// Within a head, a request or a response.
    Cut,
}

/// The requests of a connection, one after another.
pub(super) struct Requests<Io> {
    http: http1::Connection<Io>,
    service: Service,
    context: Connection,
    /// Never marked as read: once the connection's epoch has ended, `has_changed` stays true.
    epochs: watch::Receiver<Arc<Epoch>>,
}

impl<Io: AsyncBufRead + AsyncWrite + Unpin> Requests<Io> {
    /// `epochs` has seen the context's epoch and no later one.
    pub fn new(
        io: Io,
        limits: HeadLimits,
        service: Service,
        context: Connection,
        epochs: watch::Receiver<Arc<Epoch>>,
    ) -> Self {
        Self {
            http: http1::Connection::new(io, limits),
            service,
            context,
            epochs,
        }
    }

    /// The connection, for its close. What was read from it is dropped.
    pub fn into_inner(self) -> Io {
        self.http.into_inner()
    }

    /// Serves requests until the connection ends, or, once `stops` is set, until there is none in progress.
    pub async fn serve(&mut self, stops: &AtomicBool) -> End {
        let mut timer = pin!(tokio::time::sleep(self.header_timeout()));
        loop {
            match self.next(timer.as_mut(), stops).await {
                // Boxed: an idle connection does not keep its room.
                Ok(Received::Request(head)) => {
                    if let Some(end) = Box::pin(self.exchange(head, stops)).await {
                        return end;
                    }
                }
                Ok(Received::Refused {
                    fault,
                    is_head_method,
                }) => return Box::pin(self.refuse(fault, is_head_method)).await,
                Ok(Received::Closed) => return End::Close { linger: false },
                Err(end) => return end,
            }
        }
    }

    fn header_timeout(&self) -> Duration {
        self.context.epoch.config.timeouts.client_header
    }

    /// Waits for the next head, which must be complete in time.
    async fn next(
        &mut self,
        mut timer: Pin<&mut Sleep>,
        stops: &AtomicBool,
    ) -> Result<Received, End> {
        let deadline = Instant::now() + self.header_timeout();
        poll_fn(|cx| {
            if let Poll::Ready(received) = self.http.poll_head(cx) {
                return Poll::Ready(received.map_err(|_| End::Cut));
            }
            // Relaxed: set by this task before it polls this.
            if stops.load(Ordering::Relaxed) && self.http.is_idle() {
                return Poll::Ready(Err(End::Close { linger: false }));
            }
            // One timer for the whole connection, set again only when it fires: it never fires late, since a deadline is
            // never before that of the request before.
            while timer.as_mut().poll(cx).is_ready() {
                if Instant::now() >= deadline {
                    return Poll::Ready(Err(End::Cut));
                }
                timer.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }

    /// Serves one request. Returns how the connection ends, if it does.
    async fn exchange(&mut self, head: Box<Head>, stops: &AtomicBool) -> Option<End> {
        let Head {
            request,
            keep_alive,
            size,
            ..
        } = *head;
        let (version, is_head_method) = (request.version, request.method == Method::HEAD);
        let Some(response) = self.respond(request).await else {
            // The client has closed the connection: the request was dropped.
            return Some(End::Cut);
        };
        let is_read = self.http.discard_body().await;
        let response = finish(response, &self.context.epoch);
        // Asked again after the handler: the epoch may have ended while the response was made.
        let stops = stops.load(Ordering::Relaxed) || self.has_epoch_ended();
        let to = ResponseTo {
            version,
            is_head_method,
            closes: !keep_alive || !is_read || stops || size >= LONG_HEAD,
        };
        match self.http.send(response, to, &self.context.flushes).await {
            Ok(true) => Some(End::Close {
                linger: !is_read || self.has_epoch_ended(),
            }),
            Ok(false) => None,
            Err(_) => Some(End::Cut),
        }
    }

    fn has_epoch_ended(&self) -> bool {
        self.epochs.has_changed().unwrap_or(true)
    }

    /// The response to a request; `None` if the client closed the connection meanwhile.
    async fn respond(&mut self, request: request::Parts) -> Option<Response<ClientBody>> {
        let authentication = self.service.authentication;
        // The epoch may have ended since the last request, or during the handshake: then its keys must not be used.
        if self.has_epoch_ended() && refuses_after_epoch(request.uri.path(), authentication) {
            return Some(ApiError::EpochEnded.into_response().map(ClientBody::Routed));
        }
        if authentication == Authentication::ApiKey {
            let key = match self.authenticate_connection(&request) {
                Ok(key) => key,
                Err(refusal) => return Some(refusal.into_response().map(ClientBody::Routed)),
            };
            if let Some(endpoint) = inference::endpoint(&request.method, request.uri.path()) {
                return self.infer(endpoint, request, key).await;
            }
        }
        self.route(request).await
    }

    /// An inference request: straight to its handler.
    async fn infer(
        &mut self,
        endpoint: Endpoint,
        request: request::Parts,
        key: Result<ApiKey, ApiError>,
    ) -> Option<Response<ClientBody>> {
        let (state, context) = (&*self.service.state, &self.context);
        let body = RequestBody(&mut self.http);
        let head = (key, &request.headers);
        let admitted = inference::admit(state, context, endpoint, head, body).await;
        drop(request);
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => return Some(refusal.map(ClientBody::Routed)),
        };
        let mut response = pin!(inference::respond(state, context, admitted));
        poll_fn(|cx| match self.http.poll_closed(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => response.as_mut().poll(cx).map(Some),
        })
        .await
    }

    /// Any other request: through the router, whose handlers may keep the body.
    async fn route(&mut self, request: request::Parts) -> Option<Response<ClientBody>> {
        let (mut feeder, body) = match self.http.is_request_read() {
            true => (None, Body::empty()),
            false => {
                let (feeder, body) = http1::fed_body();
                (Some(feeder), body)
            }
        };
        let mut request = Request::from_parts(request, body);
        request.extensions_mut().insert(self.context.clone());
        let mut response = pin!(self.service.router.call(request));
        let response = poll_fn(|cx| {
            loop {
                if self.http.poll_closed(cx).is_ready() {
                    return Poll::Ready(None);
                }
                if let Poll::Ready(Ok(response)) = response.as_mut().poll(cx) {
                    return Poll::Ready(Some(response));
                }
                if !feed(&mut self.http, &mut feeder, cx) {
                    return Poll::Pending;
                }
            }
        });
        response
            .await
            .map(|response| response.map(ClientBody::Routed))
    }

    /// Refuses a request whose head is malformed. The rest of it is not read, and the connection closes.
    async fn refuse(&mut self, fault: HeadFault, is_head_method: bool) -> End {
        events::emit(Event::HeadRefused {
            epoch: self.context.epoch.number,
            fault,
        });
        let response = ApiError::Head(fault).into_response();
        let response = finish(response, &self.context.epoch);
        let to = ResponseTo {
            version: Version::HTTP_11,
            is_head_method,
            closes: true,
        };
        match self.http.send(response, to, &self.context.flushes).await {
            Ok(_) => End::Close { linger: true },
            Err(_) => End::Cut,
        }
    }

    /// A request with a valid API key or token moves its connection to a slot from which it is not evicted. If there is none, the
    /// request is refused. Whether it is authenticated matters to inference requests here, and to others in their handlers.
    fn authenticate_connection(
        &self,
        request: &request::Parts,
    ) -> Result<Result<ApiKey, ApiError>, ApiError> {
        let admission = &self.service.state.admission;
        let Connection { epoch, peer, .. } = &self.context;
        let key = admission.authenticate(epoch, &request.headers, *peer);
        match &key {
            Ok(_) => self.context.authenticated()?,
            Err(ApiError::InvalidKey | ApiError::Token(TokenFault::Refused(_))) => {
                self.context.not_authenticated();
            }
            Err(_) => {}
        }
        Ok(key)
    }
}

/// Reads the next piece of a body when its handler has taken the one before. Returns whether the handler has something new.
fn feed<Io: AsyncBufRead + AsyncWrite + Unpin>(
    http: &mut http1::Connection<Io>,
    feeder: &mut Option<Feeder>,
    cx: &mut Context<'_>,
) -> bool {
    let Some(pieces) = feeder else { return false };
    let Ok(permit) = pieces.try_reserve() else {
        return false;
    };
    let Poll::Ready(piece) = http.poll_body(cx) else {
        return false;
    };
    let is_last = !matches!(piece, Some(Ok(_)));
    permit.send(piece);
    if is_last {
        *feeder = None;
    }
    true
}

/// Whether a request is refused on a connection whose epoch has ended. Health does not depend on an epoch, and a load
/// balancer would take the refusal for a failure.
fn refuses_after_epoch(path: &str, authentication: Authentication) -> bool {
    authentication == Authentication::ApiKey && !is_health(path)
}
