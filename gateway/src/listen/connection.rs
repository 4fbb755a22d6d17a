//! One connection, from handshake to close.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use scrub::Scrubbed;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::framing::{Dispute, Watched};
use crate::epoch::Epoch;
use crate::errors::{ApiError, Invalid};
use crate::events::{self, Event};
use crate::http::{Connection, Front, finish};

/// How long a peer that is still sending what we will not read gets to notice that it was answered.
const LINGER: Duration = Duration::from_secs(2);
/// The smallest that hyper allows. A larger buffer is not filled anew with each read, and its used part, which
/// [`Scrubbed`] cannot reach, would keep what was read before.
const READ_BUFFER: usize = 8 * 1024;

/// Scrubbed below TLS for the buffer that records are read into, above it for the one that HTTP is.
type Tls = Scrubbed<TlsStream<Scrubbed<TcpStream>>>;

/// What connections need, cheap to clone.
#[derive(Clone)]
pub(super) struct Service {
    front: Arc<Front>,
    router: TowerToHyperService<Router>,
}

impl Service {
    pub fn new(front: Arc<Front>, router: Router) -> Self {
        Self {
            front,
            router: TowerToHyperService::new(router),
        }
    }
}

/// Serves one connection under the epoch in force, until it, the peer, or the service ends.
pub(super) async fn serve(tcp: TcpStream, service: Service, mut stopping: watch::Receiver<bool>) {
    let mut epochs = service.front.keeper.watch();
    let epoch = epochs.borrow_and_update().clone();
    let _ = tcp.set_nodelay(true);
    let peer = tcp.peer_addr().ok().map(|address| address.ip());
    let handshake = TlsAcceptor::from(epoch.tls.clone()).accept(Scrubbed::new(tcp));
    let handshake = tokio::time::timeout(epoch.config.timeouts.client_header, handshake);
    let tls = tokio::select! {
        shaken = handshake => match shaken {
            Ok(Ok(tls)) => Scrubbed::new(tls),
            Ok(Err(_)) | Err(_) => {
                let epoch = epoch.number;
                return events::emit(Event::HandshakeFailed { epoch });
            }
        },
        _ = stopping.wait_for(|stop| *stop) => return,
    };
    // The epoch may have ended while hands were shaken. Its key must not be used any more.
    if epochs.has_changed().unwrap_or(true) || *stopping.borrow() {
        return;
    }
    let number = epoch.number;
    events::emit(Event::ConnectionOpened { epoch: number });
    http(tls, &service, peer, epoch, epochs, stopping).await;
    events::emit(Event::ConnectionClosed { epoch: number });
}

async fn http(
    tls: Tls,
    service: &Service,
    peer: Option<IpAddr>,
    epoch: Arc<Epoch>,
    mut epochs: watch::Receiver<Arc<Epoch>>,
    mut stopping: watch::Receiver<bool>,
) {
    let limits = &epoch.config.limits;
    let context = Connection::new(epoch.clone(), peer);
    let dispute = Dispute::default();
    let respond = hyper::service::service_fn({
        let router = service.router.clone();
        let (context, dispute) = (context.clone(), dispute.clone());
        let requests = Cell::new(0);
        move |mut request: Request<Incoming>| {
            requests.set(requests.get() + 1);
            let routed = if dispute.is_about(requests.get()) {
                Err(disputed(&context))
            } else {
                request.extensions_mut().insert(context.clone());
                Ok(router.call(request))
            };
            let epoch = context.epoch.clone();
            // Boxed, so that the connection can be moved out of when it ends.
            Box::pin(async move {
                let response: Response<Body> = match routed {
                    Ok(response) => response.await?,
                    Err(refusal) => refusal.into_response(),
                };
                Ok::<_, Infallible>(finish(response, &epoch))
            })
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(epoch.config.timeouts.client_header)
        .max_buf_size(READ_BUFFER)
        .max_header_size(limits.max_header)
        .keep_alive(true)
        .serve_connection(TokioIo::new(Watched::new(tls, dispute)), respond);

    let ended = tokio::select! {
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => Some(ended),
        _ = epochs.changed() => None,
        _ = stopping.wait_for(|stop| *stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
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
    if ended.is_ok() || context.left_body_unread() {
        // The library's buffer, and what was read into it, is gone before the peer is waited for.
        let tls = connection.into_parts().io.into_inner().into_inner();
        close(tls, context.left_body_unread()).await;
    }
}

/// A request that says in two ways where it ends. Nothing of it is read, and the connection closes.
fn disputed(context: &Connection) -> ApiError {
    context.leave_body_unread();
    events::emit(Event::RequestDisputed {
        epoch: context.epoch.number,
    });
    Invalid::DisputedEnd.into()
}

/// Says goodbye. Where the peer may still be sending, closing at once would reset the connection and could take our
/// answer with it: what still comes is read and thrown away for a moment.
async fn close(mut tls: Tls, linger: bool) {
    let goodbye = async {
        let _ = tls.shutdown().await;
        if linger {
            let (mut tcp, _) = tls.into_inner().into_inner();
            let mut sink = vec![0; 16 * 1024];
            while tcp.read(&mut sink).await.is_ok_and(|read| read > 0) {}
        }
    };
    let _ = tokio::time::timeout(LINGER, goodbye).await;
}
