//! One client connection, from handshake to close.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::http1::HeadLimits;
pub use super::requests::Authentication;
pub(super) use super::requests::Service;
use super::requests::{End, Requests};
use super::timed_writes::TimedWrites;
use crate::http::Connection;
use crate::slots::{ConnectionSlot, Stage};
use gateway_base::events::{self, Event};
use gateway_contract::epoch::Epoch;
use scrub::Scrubbed;

/// How long a peer that is still sending bytes we do not read has to receive its response.
const LINGER: Duration = Duration::from_secs(2);
/// How long connections that are idle when their epoch ends stay open. A request that a client sends on one just then
/// is refused and may be sent again; it would be lost if the connection were closed at the same moment.
const EPOCH_ENDED: Duration = Duration::from_secs(1);

/// Scrubbed below TLS, for the buffer that records are read into.
type Tls = TlsStream<Scrubbed<TimedWrites<TcpStream>>>;

/// Serves one connection under the active epoch, until the epoch, the peer, or the service ends it.
pub(super) async fn serve(
    tcp: TcpStream,
    service: Service,
    slot: Arc<ConnectionSlot>,
    mut stopping: watch::Receiver<bool>,
) {
    // Subscribed first, and the epoch read through the same receiver: a change between the two would otherwise go
    // unnoticed, and the connection would use keys of an ended epoch until it closes.
    let mut epochs = service.epochs();
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
    let limits = HeadLimits {
        bytes: limits.max_header,
        fields: limits.max_header_fields,
    };
    let context = Connection::new(epoch.clone(), peer, slot);
    let mut requests = Requests::new(tls, limits, service.clone(), context, epochs.clone());
    let authentication = service.authentication();
    async move {
        let stops = AtomicBool::new(false);
        let ended = {
            let mut serving = pin!(requests.serve(&stops));
            let ended = tokio::select! {
                ended = &mut serving => Some(ended),
                () = ended(&mut epochs, authentication) => None,
                _ = stopping.wait_for(|stop| *stop) => None,
            };
            // The other two branches are requests to stop: a response that has begun is finished, and no further request is
            // served. The drain timeout limits that.
            match ended {
                Some(ended) => ended,
                None => {
                    stops.store(true, Ordering::Relaxed);
                    let rest = tokio::time::timeout(epoch.config.server.drain_timeout, serving);
                    match rest.await {
                        Ok(ended) => ended,
                        Err(_) => {
                            events::emit(Event::DrainCut {
                                epoch: epoch.number,
                            });
                            End::Cut
                        }
                    }
                }
            }
        };
        // After `Cut` nothing can be sent. The connection is dropped without TLS's closing message, so the client sees that
        // the response is incomplete.
        if let End::Close { linger } = ended {
            Box::pin(close(requests.into_inner(), linger)).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a function returns.
    fn size_of_result<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// A connection holds it while it is idle; what a request needs is allocated separately.
    #[test]
    fn the_future_of_a_connection_is_small() {
        let tls = size_of::<Tls>();
        let all = size_of_result(serve);
        assert!(all < tls + 1280, "{all} bytes, {tls} of them for TLS");
    }
}
