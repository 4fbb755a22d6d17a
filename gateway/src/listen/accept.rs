//! The accept loop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket};

use super::connection;
use super::drain::Connections;
use crate::events::{self, Event, Room};
use crate::http::Front;

const BACKLOG: u32 = 1024;
/// After the system refused to hand over a connection, typically for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound socket and everything that is to be served on it.
pub struct Listener {
    socket: TcpListener,
    connections: Connections,
}

impl Listener {
    /// Binds `address`. Connections queue from now on and are served once [`accept`] runs.
    pub fn bind(address: SocketAddr, max_connections: usize) -> std::io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self {
            socket: socket.listen(BACKLOG)?,
            connections: Connections::new(max_connections),
        })
    }

    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }
}

/// Accepts connections until dropped.
pub async fn accept(listener: Listener, front: Arc<Front>, router: Router) {
    let Listener {
        socket,
        connections,
    } = listener;
    let service = connection::Service::new(front.clone(), router);
    loop {
        let Some(place) = connections.place().await else {
            return;
        };
        let tcp = match socket.accept().await {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                if !is_the_peers_doing(&error) {
                    events::emit(Event::AcceptFailed {
                        code: error.raw_os_error(),
                    });
                    tokio::time::sleep(PAUSE).await;
                }
                continue;
            }
        };
        let stopping = connections.stopping();
        let service = service.clone();
        let open = Open::new(&front);
        let task = tokio::spawn(async move {
            connection::serve(tcp, service, stopping).await;
            drop(open);
            drop(place);
        });
        tokio::spawn(async move {
            if task.await.is_err_and(|error| error.is_panic()) {
                events::emit(Event::Panicked { room: Room::Listen });
            }
        });
    }
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
