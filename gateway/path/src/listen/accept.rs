//! Accepts connections while there is room for them, and starts a task for each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::connection::{self, Authentication};
use crate::http::PublicState;
use crate::slots::Peer;
use crate::slots::{ConnectionSlot, Connections};
use gateway_base::descriptors::ConnectionLimits;
use gateway_base::descriptors::connection_limits;
use gateway_base::events::{self, Component, Event};
use harden as hardening;

/// The system may allow less.
const BACKLOG: u32 = 4096;
/// The pause after an error of the system, typically for lack of file descriptors.
const ERROR_PAUSE: Duration = Duration::from_millis(50);
/// Events that can happen with every connection are logged at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// A bound socket and its connections.
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

    /// Waits until there is room, and accepts the next connection.
    pub(super) async fn next(&self, log: &mut AcceptLog) -> (TcpStream, ConnectionSlot) {
        loop {
            // Room first, then `accept`: until there is some, peers wait in the kernel's queue and cost no file
            // descriptor. Only this loop adds connections, so no other task can take the room.
            if self.connections.wait_for_room().await {
                log.evicted();
            }
            match self.socket.accept().await {
                Ok((tcp, address)) => {
                    let slot = self.connections.enter(Peer::from_address(address.ip()));
                    return (tcp, slot);
                }
                Err(error) if is_caused_by_peer(&error) => {}
                Err(error) => {
                    log.failed(&error);
                    // An evicted connection returns its file descriptor.
                    if self.connections.evict_one() {
                        log.evicted();
                    }
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
            }
        }
    }
}

/// Accepts connections until dropped.
pub async fn accept(
    listener: Listener,
    state: Arc<PublicState>,
    router: Router,
    authentication: Authentication,
) {
    let service = connection::Service::new(state.clone(), router, authentication);
    let mut log = AcceptLog::default();
    let mut epochs = state.rotation.watch();
    epochs.mark_unchanged();
    loop {
        let (tcp, slot) = listener.next(&mut log).await;
        // Limits follow the configuration of the active epoch. The administrators' listener keeps those it was bound
        // with.
        if authentication == Authentication::ApiKey && epochs.has_changed().unwrap_or(false) {
            let limits = &epochs.borrow_and_update().config.limits;
            let limits = connection_limits(hardening::descriptor_limit(), limits);
            listener.connections.set_limits(limits);
        }
        let stopping = listener.connections.stopping();
        let service = service.clone();
        let open = Open::new(&state);
        let slot = Arc::new(slot);
        // The task owns the slot: it ends by itself or when it is evicted.
        tokio::spawn(async move {
            tokio::select! {
                () = connection::serve(tcp, service, slot.clone(), stopping) => {}
                // Dropping `serve` drops its request too, whose receipt then says that the connection was closed.
                () = slot.evicted() => {}
            }
            drop(open);
        });
    }
}

/// Limits how often events of single connections are logged.
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
    let due = logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL);
    if due {
        *logged = Some(Instant::now());
    }
    due
}

fn is_caused_by_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as K;
    matches!(
        error.kind(),
        K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted
    )
}

/// An open connection, counted. It also reports a panic: the runtime catches it, after it has dropped the task.
struct Open(Arc<PublicState>);

impl Open {
    fn new(state: &Arc<PublicState>) -> Self {
        state.metrics.connections.inc();
        Self(state.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
        if std::thread::panicking() {
            events::emit(Event::Panicked {
                component: Component::Listen,
            });
        }
    }
}
