//! One client connection, from handshake to close.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::framing::{Findings, FramingGuard, HeadLimits, MAX_READ};
use super::timed_writes::TimedWrites;
use crate::flushes::FlushCounter;
use crate::http::{Connection, PublicState, finish, is_health};
use crate::slots::{ConnectionSlot, Stage};
use gateway_base::errors::{ApiError, HeadFault};
use gateway_base::events::{self, Event};
use gateway_contract::epoch::Epoch;
use scrub::Scrubbed;

/// How long a peer that is still sending bytes we do not read has to receive its response.
const LINGER: Duration = Duration::from_secs(2);
/// How long connections that are idle when their epoch ends stay open. A request that a client sends on one just then
/// is refused and may be sent again; it would be lost if the connection were closed at the same moment.
const EPOCH_ENDED: Duration = Duration::from_secs(1);
/// The smallest size that hyper allows. A larger buffer is not reused from its start with each read, and its used part,
/// which [`Scrubbed`] does not reach, would keep earlier bytes. It grows for a longer head, and then the connection closes
/// after the response.
const READ_BUFFER: usize = MAX_READ + 1;

/// Scrubbed below TLS, for the buffer that records are read into.
type Tls = TlsStream<Scrubbed<TimedWrites<TcpStream>>>;

/// Where requests are authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// By API key: here, for the connection's slot, and again in admission.
    ApiKey,
    /// In the handlers.
    ByHandlers,
}

/// What connections share, cheap to clone.
#[derive(Clone)]
pub(super) struct Service {
    state: Arc<PublicState>,
    router: TowerToHyperService<Router>,
    authentication: Authentication,
}

impl Service {
    pub fn new(state: Arc<PublicState>, router: Router, authentication: Authentication) -> Self {
        Self {
            state,
            router: TowerToHyperService::new(router),
            authentication,
        }
    }
}

/// Serves one connection under the active epoch, until the epoch, the peer, or the service ends it.
pub(super) async fn serve(
    tcp: TcpStream,
    service: Service,
    slot: Arc<ConnectionSlot>,
    mut stopping: watch::Receiver<bool>,
) {
    // Subscribed first, and the epoch read through the same receiver: a change between the two would otherwise go
    // unnoticed, and the connection would use keys of an ended epoch until it closes.
    let mut epochs = service.state.rotation.watch();
    let epoch = epochs.borrow_and_update().clone();
    let _ = tcp.set_nodelay(true);
    let peer = tcp.peer_addr().ok().map(|address| address.ip());
    let timeouts = &epoch.config.timeouts;
    // Boxed: an idle connection does not keep its room.
    let handshake = Box::pin(async {
        // A peek, so that the TLS library still reads the byte. A silent connection is the first to be evicted.
        let spoke = tcp.peek(&mut [0; 1]).await?;
        if spoke > 0 {
            slot.set_stage(Stage::Handshake);
        }
        let tcp = TimedWrites::new(tcp, timeouts.client_write);
        let acceptor = TlsAcceptor::from(epoch.tls.clone());
        acceptor.accept(Scrubbed::new(tcp)).await
    });
    let handshake = tokio::time::timeout(timeouts.client_header, handshake);
    let tls = tokio::select! {
        result = handshake => match result {
            Ok(Ok(tls)) => tls,
            Ok(Err(_)) | Err(_) => {
                let epoch = epoch.number;
                return events::emit(Event::HandshakeFailed { epoch });
            }
        },
        // No request can be in progress during a handshake, so there is nothing to drain.
        _ = stopping.wait_for(|stop| *stop) => return,
    };
    // Both branches can be ready together, and `select!` chooses one at random.
    if *stopping.borrow() {
        return;
    }
    slot.set_stage(Stage::Open);
    let number = epoch.number;
    events::emit(Event::ConnectionOpened { epoch: number });
    http(tls, &service, (peer, slot), epoch, epochs, stopping).await;
    events::emit(Event::ConnectionClosed { epoch: number });
}

/// Not an `async fn`, whose future would keep room for each argument beside what is made of it: idle connections are many.
fn http(
    tls: Tls,
    service: &Service,
    (peer, slot): (Option<IpAddr>, Arc<ConnectionSlot>),
    epoch: Arc<Epoch>,
    mut epochs: watch::Receiver<Arc<Epoch>>,
    mut stopping: watch::Receiver<bool>,
) -> impl Future<Output = ()> {
    let limits = &epoch.config.limits;
    let context = Connection::new(epoch.clone(), peer, slot);
    let findings = Findings::default();
    let guard = FramingGuard::new(
        tls,
        HeadLimits {
            bytes: limits.max_header,
            fields: limits.max_header_fields,
        },
        findings.clone(),
    );
    let respond = hyper::service::service_fn({
        let (router, state) = (service.router.clone(), service.state.clone());
        let (context, authentication) = (context.clone(), service.authentication);
        // The count matches the guard's number of heads: the guard passes on exactly one head for each request, and
        // hyper serves a connection's requests one after another. This receiver is never marked as read, so once its
        // epoch has ended, `has_changed` stays true until the connection closes.
        let (requests, epochs) = (Cell::new(0), epochs.clone());
        move |mut request: Request<Incoming>| {
            requests.set(requests.get() + 1);
            let (number, findings) = (requests.get(), findings.clone());
            // The epoch may have ended since the last request, or during the handshake: then its keys must not be used.
            let ended = epochs.has_changed().unwrap_or(true);
            let routed = match findings.refused(number) {
                Some(fault) => Err(refused(fault, &context)),
                None if ended && refuses_after_epoch(&request, authentication) => {
                    context.leave_body_unread();
                    Err(ApiError::EpochEnded)
                }
                None => {
                    authenticate_connection(&request, &context, &state, authentication).map(|()| {
                        request.extensions_mut().insert(context.clone());
                        router.call(request)
                    })
                }
            };
            let (context, epochs) = (context.clone(), epochs.clone());
            // Boxed, so that the connection can be moved out of when it ends.
            Box::pin(async move {
                let response: Response<Body> = match routed {
                    Ok(response) => response.await?,
                    Err(refusal) => refusal.into_response(),
                };
                let mut response = finish(response, &context.epoch);
                // Asked again after the handler: the epoch may have ended, or the guard lost the end of the body, while
                // the response was made.
                if findings.is_last(number) || epochs.has_changed().unwrap_or(true) {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            })
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(epoch.config.timeouts.client_header)
        // The guard checks these limits first, and its refusals get a response.
        .max_buf_size(READ_BUFFER.max(limits.max_header + 1))
        .max_header_size(limits.max_header + 1)
        .max_headers(limits.max_header_fields)
        .keep_alive(true)
        // Scrubbed above the guard, for the buffer that HTTP is read into.
        .serve_connection(
            TokioIo::new(FlushCounter::new(
                Scrubbed::new(guard),
                context.flushes.clone(),
            )),
            respond,
        );
    let mut connection = Box::new(connection);

    async move {
        let ended = tokio::select! {
            // Without shutdown: TLS is closed by `close`, which may have to read on first.
            ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => Some(ended),
            () = ended(&mut epochs, service.authentication) => None,
            _ = stopping.wait_for(|stop| *stop) => None,
        };
        // The other two branches are requests to stop. hyper then finishes the response that it has begun and serves no
        // further request; the drain timeout limits that.
        let ended = match ended {
            Some(ended) => ended,
            None => {
                Pin::new(&mut *connection).graceful_shutdown();
                let rest = poll_fn(|cx| connection.poll_without_shutdown(cx));
                match tokio::time::timeout(epoch.config.server.drain_timeout, rest).await {
                    Ok(ended) => ended,
                    Err(_) => {
                        events::emit(Event::DrainCut {
                            epoch: epoch.number,
                        });
                        return;
                    }
                }
            }
        };
        // After any other error nothing can be sent. The connection is dropped without TLS's closing message, so the client
        // sees that the response is incomplete.
        if ended.is_ok() || context.left_body_unread() {
            // Drops the library's buffer, and what was read into it, before waiting for the peer.
            let tls = connection.into_parts().io.into_inner();
            let tls = tls.into_inner().into_inner().into_inner();
            Box::pin(close(tls, context.left_body_unread())).await;
        }
    }
}

/// Ready when an idle connection is to be closed because its epoch has ended. Browsers send a request again by
/// themselves when a connection was closed, and not when it was refused.
async fn ended(epochs: &mut watch::Receiver<Arc<Epoch>>, authentication: Authentication) {
    if epochs.changed().await.is_ok() && authentication == Authentication::ApiKey {
        tokio::time::sleep(EPOCH_ENDED).await;
    }
}

/// Whether a request is refused on a connection whose epoch has ended. Health does not depend on an epoch, and a load
/// balancer would take the refusal for a failure.
fn refuses_after_epoch(request: &Request<Incoming>, authentication: Authentication) -> bool {
    authentication == Authentication::ApiKey && !is_health(request.uri().path())
}

/// A request whose head is refused. The rest of it is not read, and the connection closes.
fn refused(fault: HeadFault, context: &Connection) -> ApiError {
    context.leave_body_unread();
    events::emit(Event::HeadRefused {
        epoch: context.epoch.number,
        fault,
    });
    ApiError::Head(fault)
}

/// A request with a valid API key moves its connection to a slot from which it is not evicted. If there is none, the
/// request is refused.
fn authenticate_connection(
    request: &Request<Incoming>,
    context: &Connection,
    state: &PublicState,
    authentication: Authentication,
) -> Result<(), ApiError> {
    if authentication == Authentication::ByHandlers {
        return Ok(());
    }
    match state
        .admission
        .authenticate(request.headers(), context.peer)
    {
        Ok(_) => context.authenticated(),
        Err(ApiError::InvalidKey) => {
            context.not_authenticated();
            Ok(())
        }
        Err(_) => Ok(()),
    }
}

/// Closes the connection. If the peer may still be sending, closing at once would reset the connection, and our response
/// could be lost: for a moment, what arrives is read and discarded.
async fn close(mut tls: Tls, linger: bool) {
    let closing = async {
        let _ = tls.shutdown().await;
        if linger {
            let (mut tcp, _) = tls.into_inner();
            let mut sink = vec![0; 16 * 1024];
            while tcp.read(&mut sink).await.is_ok_and(|read| read > 0) {}
        }
    };
    let _ = tokio::time::timeout(LINGER, closing).await;
}
