//! A pool of connections to one origin that is not attested.
//!
//! The peer is identified by its address (a loopback engine) or under WebPKI (an ordinary API); neither is evidence.

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use scrub::Scrubbed;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;

use super::connection::{Connection, SendFailure};
use super::prompt_body::PromptBody;
use super::stream::Stream;
use attest_channel::{DialError, Dialed, TcpDialer};
use gateway_base::lock::lock;
use gateway_base::metering::Cause;
use rustls_pki_types::ServerName;

/// Common servers (uvicorn among them) close idle connections after five seconds; we close them a little earlier, so
/// that no request is written to a connection that is closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// More idle connections than this to one origin are closed.
const MAX_IDLE: usize = 256;

/// Which addresses an origin may resolve to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AllowedAddresses {
    /// Only this machine's.
    Loopback,
    All,
}

/// Opens connections to the origin.
pub(super) struct Connector {
    pub host: String,
    pub port: u16,
    pub allowed: AllowedAddresses,
    pub tls: Option<(TlsConnector, ServerName<'static>)>,
    pub connect_timeout: Duration,
    pub tcp: Arc<TcpDialer>,
}

/// Why there is no connection. The prompt was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFailure {
    #[error("the upstream's name does not resolve")]
    Resolve,
    #[error("the engine's address is not on this machine")]
    NotLoopback,
    #[error("the upstream does not accept connections")]
    Refused,
    #[error("the upstream cannot be reached")]
    Unreachable,
    #[error("the TLS handshake with the upstream failed")]
    Tls,
    #[error("connecting took too long")]
    Timeout,
}

impl ConnectFailure {
    /// The reason in receipts.
    pub const fn reason(self) -> &'static str {
        match self {
            ConnectFailure::Resolve => "name_not_resolved",
            ConnectFailure::NotLoopback => "not_loopback",
            ConnectFailure::Refused | ConnectFailure::Unreachable => "connect_failed",
            ConnectFailure::Tls => "tls_failed",
            ConnectFailure::Timeout => "connect_timeout",
        }
    }

    pub const fn cause(self) -> Cause {
        match self {
            ConnectFailure::Resolve => Cause::Dns,
            ConnectFailure::NotLoopback => Cause::NotLoopback,
            ConnectFailure::Refused => Cause::Refused,
            ConnectFailure::Unreachable => Cause::Unreachable,
            ConnectFailure::Tls => Cause::Tls,
            ConnectFailure::Timeout => Cause::ConnectTimeout,
        }
    }

    fn from_dial_error(error: &DialError) -> Self {
        match error {
            DialError::Resolve(_) | DialError::ResolveTimeout => ConnectFailure::Resolve,
            DialError::NoneAllowed => ConnectFailure::NotLoopback,
            DialError::Connect(io::ErrorKind::ConnectionRefused) => ConnectFailure::Refused,
            DialError::Connect(io::ErrorKind::TimedOut) | DialError::ConnectTimeout => {
                ConnectFailure::Timeout
            }
            DialError::Connect(_) => ConnectFailure::Unreachable,
        }
    }
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// The connections of one origin.
pub(super) struct Pool {
    connector: Connector,
    /// Oldest first. A connection is either in here or owned by one exchange. The lock is never held across an await: a
    /// connection is taken out, and polled outside of it.
    idle: Mutex<Vec<Idle>>,
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Arc<Self> {
        Arc::new(Self {
            connector,
            idle: Mutex::new(Vec::new()),
        })
    }

    /// A connection that can take a request now: the most recently used idle one, or a new one.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<PooledConnection, ConnectFailure> {
        // The peer may have closed it meanwhile: polling notices that, and the connection is dropped.
        // One connection per round, so that the lock is free while it is polled.
        while let Some(mut connection) = self.take_idle() {
            if poll_fn(|cx| Poll::Ready(connection.poll_usable(cx))).await {
                return Ok(PooledConnection {
                    connection,
                    pool: Arc::clone(self),
                });
            }
        }
        self.connect().await
    }

    /// A new connection.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<PooledConnection, ConnectFailure> {
        let connection = self.connector.connect().await?;
        Ok(PooledConnection {
            connection,
            pool: Arc::clone(self),
        })
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = lock(&self.idle);
        let newest = idle.pop()?;
        if newest.since.elapsed() < IDLE_TIMEOUT {
            return Some(newest.connection);
        }
        // If the most recently used one is too old, all are.
        // Closing a connection does not wait, so it may happen under the lock.
        idle.clear();
        None
    }

    pub(super) fn put_back(&self, connection: Connection) {
        let now = Instant::now();
        let mut idle = lock(&self.idle);
        // Sorted by age, so the expired ones are at the front.
        let stale = idle
            .iter()
            .take_while(|one| now - one.since >= IDLE_TIMEOUT)
            .count();
        idle.drain(..stale);
        if idle.len() < MAX_IDLE {
            idle.push(Idle {
                connection,
                since: now,
            });
        }
    }
}

/// A connection taken from the pool for one exchange.
pub(super) struct PooledConnection {
    connection: Connection,
    pool: Arc<Pool>,
}

impl PooledConnection {
    pub(super) async fn send(
        self,
        request: Request<PromptBody>,
    ) -> Result<Response<PooledBody>, SendFailure> {
        let (response, connection) = self.connection.exchange(request).await?;
        // Weak: a response that still streams must not keep the pool of an ended epoch, and its idle connections, alive.
        let pool = Arc::downgrade(&self.pool);
        Ok(response.map(|incoming| PooledBody::new(incoming, connection, pool)))
    }
}

/// A response body that returns its connection to the pool when it is complete, and closes it otherwise.
pub struct PooledBody {
    incoming: Incoming,
    /// Polled by the body while it streams; taken when the body is complete or has failed.
    connection: Option<Connection>,
    pool: Weak<Pool>,
}

impl PooledBody {
    fn new(incoming: Incoming, connection: Connection, pool: Weak<Pool>) -> Self {
        Self {
            incoming,
            connection: Some(connection),
            pool,
        }
    }

    /// At the body's end: returns the connection to the pool if it is ready for another request.
    fn return_connection(&mut self, cx: &mut Context<'_>) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if connection.poll_usable(cx)
            && let Some(pool) = self.pool.upgrade()
            && let Some(connection) = connection.into_idle()
        {
            pool.put_back(connection);
        }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        // Parsed data first: the connection is polled only when there is none, and so reads no faster than the client
        // takes.
        let mut polled = Pin::new(&mut this.incoming).poll_frame(cx);
        if polled.is_pending()
            && let Some(connection) = &mut this.connection
        {
            // The body is filled by the connection, so poll that and look again.
            connection.drive(cx);
            polled = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        match &polled {
            // With the last bytes and not with the poll after them: a reader that knows the length does not poll again.
            Poll::Ready(Some(Ok(_))) if this.incoming.is_end_stream() => this.return_connection(cx),
            Poll::Ready(None) => this.return_connection(cx),
            // Its state is unknown: dropping closes it.
            Poll::Ready(Some(Err(_))) => this.connection = None,
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Connector {
    /// Connects TCP to one of the name's addresses, and TLS on it, within one deadline.
    async fn connect(&self) -> Result<Connection, ConnectFailure> {
        let deadline = Instant::now() + self.connect_timeout;
        let Dialed { stream, address } = self.connect_tcp(deadline).await?;
        let stream = match &self.tls {
            None => Stream::Tcp(stream),
            Some((connector, name)) => {
                let tls = connector.connect(name.clone(), Scrubbed::new(stream));
                let tls = timeout_at(deadline.into(), tls).await.map_err(|_| {
                    // The address accepts connections and does not answer: prefer another one next time.
                    self.tcp.note_failure(address);
                    ConnectFailure::Timeout
                })?;
                Stream::Tls(Box::new(tls.map_err(|_| ConnectFailure::Tls)?))
            }
        };
        let mut connection = Connection::open(stream)
            .await
            .map_err(|_| ConnectFailure::Refused)?;
        connection
            .ready()
            .await
            .map_err(|_| ConnectFailure::Refused)?;
        Ok(connection)
    }

    /// Connects to one of the name's addresses that are allowed.
    async fn connect_tcp(&self, deadline: Instant) -> Result<Dialed, ConnectFailure> {
        let allowed = |address: &SocketAddr| match self.allowed {
            AllowedAddresses::All => true,
            AllowedAddresses::Loopback => address.ip().is_loopback(),
        };
        let dialed = self
            .tcp
            .dial(&self.host, self.port, allowed, deadline.into())
            .await;
        let dialed = dialed.map_err(|error| ConnectFailure::from_dial_error(&error))?;
        // Without it small writes may wait for an acknowledgement; a failure costs only latency.
        let _ = dialed.stream.set_nodelay(true);
        Ok(dialed)
    }
}
