//! Connections to one origin that is not attested, kept between requests.
//!
//! Which peer answers is decided by address (a loopback engine) or by WebPKI (an ordinary API); neither is evidence,
//! and nothing here claims that it is.

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use scrub::Scrubbed;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;

use super::connection::{Connection, SendFailure};
use super::prompt_body::PromptBody;
use super::stream::Stream;
use attest_channel::{DialError, Dialed, TcpDialer};
use gateway_base::metering::Cause;
use rustls_pki_types::ServerName;

/// Servers in use (uvicorn among them) close idle connections after five seconds; we let go a little earlier, so
/// that a request is not written into a connection that is closing.
const KEEP_IDLE: Duration = Duration::from_secs(4);
/// More idle connections than this to one origin are closed.
const MAX_IDLE: usize = 256;

/// Which addresses an origin may resolve to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Only this machine.
    Loopback,
    Anywhere,
}

/// Where and how to connect.
pub(super) struct Dial {
    pub host: String,
    pub port: u16,
    pub reach: Reach,
    pub tls: Option<(TlsConnector, ServerName<'static>)>,
    pub connect_timeout: Duration,
    pub tcp: Arc<TcpDialer>,
}

/// Why no connection could be had. The prompt has not been touched.
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
    /// The word receipts use.
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

    fn of(error: &DialError) -> Self {
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
    dial: Dial,
    idle: Mutex<Vec<Idle>>,
}

impl Pool {
    pub(super) fn new(dial: Dial) -> Arc<Self> {
        Arc::new(Self {
            dial,
            idle: Mutex::new(Vec::new()),
        })
    }

    /// A connection that can take a request now: the most recently used idle one, or a new one.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Checkout, ConnectFailure> {
        while let Some(mut connection) = self.take_idle() {
            if poll_fn(|cx| std::task::Poll::Ready(connection.poll_usable(cx))).await {
                return Ok(Checkout {
                    connection,
                    home: Arc::clone(self),
                });
            }
        }
        self.fresh().await
    }

    /// A connection that has never been idle.
    pub(super) async fn fresh(self: &Arc<Self>) -> Result<Checkout, ConnectFailure> {
        let connection = self.dial.connect().await?;
        Ok(Checkout {
            connection,
            home: Arc::clone(self),
        })
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = idle.pop()?;
        if newest.since.elapsed() < KEEP_IDLE {
            return Some(newest.connection);
        }
        // The newest is too old, so all are.
        idle.clear();
        None
    }

    pub(super) fn put_back(&self, connection: Connection) {
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = idle
            .iter()
            .take_while(|one| now - one.since >= KEEP_IDLE)
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

/// A connection on loan for one exchange.
pub(super) struct Checkout {
    connection: Connection,
    home: Arc<Pool>,
}

impl Checkout {
    pub(super) async fn send(
        self,
        request: Request<PromptBody>,
    ) -> Result<Response<PooledBody>, SendFailure> {
        let (response, connection) = self.connection.exchange(request).await?;
        let home = Arc::downgrade(&self.home);
        Ok(response.map(|incoming| PooledBody::new(incoming, connection, home)))
    }
}

/// A response body that returns its connection to the pool at its proper end and closes it otherwise.
pub struct PooledBody {
    incoming: Incoming,
    connection: Option<Connection>,
    home: Weak<Pool>,
}

impl PooledBody {
    fn new(incoming: Incoming, connection: Connection, home: Weak<Pool>) -> Self {
        Self {
            incoming,
            connection: Some(connection),
            home,
        }
    }

    /// At the body's end: keep the connection if it is ready for another request.
    fn settle(&mut self, cx: &mut Context<'_>) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if connection.poll_usable(cx)
            && let Some(home) = self.home.upgrade()
            && let Some(connection) = connection.renewed()
        {
            home.put_back(connection);
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
        let mut polled = Pin::new(&mut this.incoming).poll_frame(cx);
        if polled.is_pending()
            && let Some(connection) = &mut this.connection
        {
            connection.drive(cx);
            polled = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        match &polled {
            Poll::Ready(Some(Ok(_))) if this.incoming.is_end_stream() => this.settle(cx),
            Poll::Ready(None) => this.settle(cx),
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

impl Dial {
    /// TCP to one of the name's addresses and TLS, within one deadline.
    async fn connect(&self) -> Result<Connection, ConnectFailure> {
        let deadline = Instant::now() + self.connect_timeout;
        let Dialed { stream, address } = self.connect_tcp(deadline).await?;
        let stream = match &self.tls {
            None => Stream::Tcp(stream),
            Some((connector, name)) => {
                let tls = connector.connect(name.clone(), Scrubbed::new(stream));
                let tls = timeout_at(deadline.into(), tls).await.map_err(|_| {
                    // It accepts connections and does not serve them: another address may.
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

    /// One of the addresses that the name has and that may be connected to.
    async fn connect_tcp(&self, deadline: Instant) -> Result<Dialed, ConnectFailure> {
        let allowed = |address: &SocketAddr| match self.reach {
            Reach::Anywhere => true,
            Reach::Loopback => address.ip().is_loopback(),
        };
        let dialed = self
            .tcp
            .dial(&self.host, self.port, allowed, deadline.into())
            .await;
        let dialed = dialed.map_err(|error| ConnectFailure::of(&error))?;
        // Without it small writes may wait for an acknowledgement; a failure costs only latency.
        let _ = dialed.stream.set_nodelay(true);
        Ok(dialed)
    }
}
