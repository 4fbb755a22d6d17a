//! Opens connections to an origin that is not attested.
//!
//! The peer is identified by its address (a loopback engine) or under WebPKI (an ordinary API); neither is evidence.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::time::Instant;

use attest_channel::transport::{Connection, Destination, KnownPeer, OpenError, Stream};
use attest_channel::{DialError, TcpDialer};
use gateway_base::metering::Cause;

/// A peer that passed its [`PeerCheck`], which is no evidence.
pub struct Unattested;

impl KnownPeer for Unattested {}

/// What is checked of a peer while the connection to it is opened.
pub(super) enum PeerCheck {
    /// Its address is one of this machine's.
    Loopback,
    /// A certificate authority vouches for this name.
    WebPki(Arc<ClientConfig>, ServerName<'static>),
    Nothing,
}

/// Opens connections to the origin.
pub(super) struct Connector {
    pub host: String,
    pub port: u16,
    pub check: PeerCheck,
    pub connect_timeout: Duration,
    pub tcp: Arc<TcpDialer>,
}

impl Connector {
    /// Connects TCP to one of the name's addresses, and TLS on it, within one deadline.
    pub(super) async fn connect(&self) -> Result<Connection, ConnectFailure> {
        let all: fn(&SocketAddr) -> bool = |_| true;
        let (allowed, tls) = match &self.check {
            PeerCheck::Loopback => (is_loopback as fn(&SocketAddr) -> bool, None),
            PeerCheck::WebPki(config, name) => (all, Some((config, name.clone()))),
            PeerCheck::Nothing => (all, None),
        };
        let to = Destination {
            host: &self.host,
            port: self.port,
            allowed,
            tls,
        };
        let deadline = Instant::now() + self.connect_timeout;
        let stream = Stream::open(&self.tcp, to, deadline).await?;
        Ok(Connection::new(stream))
    }
}

fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().is_loopback()
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
}

impl From<OpenError> for ConnectFailure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Dial(DialError::Resolve(_) | DialError::ResolveTimeout) => {
                ConnectFailure::Resolve
            }
            OpenError::Dial(DialError::NoneAllowed) => ConnectFailure::NotLoopback,
            OpenError::Dial(DialError::Connect(io::ErrorKind::ConnectionRefused)) => {
                ConnectFailure::Refused
            }
            OpenError::Dial(
                DialError::Connect(io::ErrorKind::TimedOut) | DialError::ConnectTimeout,
            )
            | OpenError::TlsTimeout => ConnectFailure::Timeout,
            OpenError::Dial(DialError::Connect(_)) => ConnectFailure::Unreachable,
            OpenError::Tls(_) => ConnectFailure::Tls,
        }
    }
}
