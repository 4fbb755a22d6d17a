//! The accept loop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::connection::{self, Authentication};
use crate::http::Front;
use crate::places::Peer;
use crate::places::{Connections, Place};
use gateway_base::descriptors::ConnectionLimits;
use gateway_base::descriptors::connection_limits;
use gateway_base::events::{self, Component, Event};
use harden as hardening;

/// The system may allow less.
const BACKLOG: u32 = 4096;
/// After the system refused to hand over a connection, typically for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// What happens with every connection is logged no more often than this.
const LOG_AGAIN: Duration = Duration::from_secs(30);

/// A bound socket and everything that is to be served on it.
pub struct Listener {
    socket: TcpListener,
    connections: Connections,
}

impl Listener {
    /// Binds `address`. Connections queue from now on and are served once they are accepted.
    pub fn bind(address: SocketAddr, limits: ConnectionLimits) -> std::io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self {
            socket: socket.listen(BACKLOG)?,
            connections: Connections::new(limits),
        })
    }

    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// The next connection and its place, when there is room for one.
    pub(super) async fn next(&self, log: &mut AcceptLog) -> (TcpStream, Place) {
        loop {
            if self.connections.room().await {
                log.evicted();
            }
            match self.socket.accept().await {
                Ok((tcp, address)) => {
                    let place = self.connections.enter(Peer::from_address(address.ip()));
                    return (tcp, place);
                }
                Err(error) if is_the_peers_doing(&error) => {}
                Err(error) => {
                    log.failed(&error);
                    // It gives its descriptor back.
                    if self.connections.evict_one() {
                        log.evicted();
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Accepts connections until dropped.
pub async fn accept(
    listener: Listener,
    front: Arc<Front>,
    router: Router,
    authentication: Authentication,
) {
    let service = connection::Service::new(front.clone(), router, authentication);
    let mut log = AcceptLog::default();
    let mut epochs = front.rotation.watch();
    epochs.mark_unchanged();
    loop {
        let (tcp, place) = listener.next(&mut log).await;
        if authentication == Authentication::ApiKey && epochs.has_changed().unwrap_or(false) {
            let limits = &epochs.borrow_and_update().config.limits;
            let limits = connection_limits(hardening::descriptor_limit(), limits);
            listener.connections.set_limits(limits);
        }
        let stopping = listener.connections.stopping();
        let service = service.clone();
        let open = Open::new(&front);
        let place = Arc::new(place);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = connection::serve(tcp, service, place.clone(), stopping) => {}
                () = place.evicted() => {}
            }
            drop(open);
        });
        tokio::spawn(async move {
            if task.await.is_err_and(|error| error.is_panic()) {
                events::emit(Event::Panicked {
                    component: Component::Listen,
                });
            }
        });
    }
}

/// Keeps what can happen with every connection from filling the log.
#[derive(Default)]
pub(super) struct AcceptLog {
    evicted: u64,
    evicted_logged: Option<Instant>,
    failed_logged: Option<Instant>,
}

impl AcceptLog {
    fn evicted(&mut self) {
        self.evicted += 1;
        if is_due(&mut self.evicted_logged) {
            let connections = std::mem::take(&mut self.evicted);
            events::emit(Event::ConnectionsEvicted { connections });
        }
    }

    fn failed(&mut self, error: &std::io::Error) {
        if is_due(&mut self.failed_logged) {
            events::emit(Event::AcceptFailed {
                code: error.raw_os_error(),
            });
        }
    }
}

fn is_due(logged: &mut Option<Instant>) -> bool {
    let due = logged.is_none_or(|at| at.elapsed() >= LOG_AGAIN);
    if due {
        *logged = Some(Instant::now());
    }
    due
}

fn is_the_peers_doing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as K;
    matches!(
        error.kind(),
        K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted
    )
}

/// An open connection, counted.
struct Open(Arc<Front>);

impl Open {
    fn new(front: &Arc<Front>) -> Self {
        front.metrics.connections.inc();
        Self(front.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}
