//! Opens connections: TCP ([`tcp`](crate::tcp)), then TLS, then the peer's key is read from the handshake.

use std::sync::Arc;

use rustls::ClientConfig;
use scrub::Scrubbed;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::connection::ObservedConnection;
use crate::error::{ChannelError, Stage};
use crate::http1::Http1;
use crate::origin::Origin;
use crate::settings::{Limits, Timeouts};
use crate::tcp::{DialError, Dialed, TcpDialer};
use crate::tls;

#[derive(Clone)]
pub struct Dialer {
    timeouts: Timeouts,
    buffer: usize,
    tls: Arc<ClientConfig>,
    tcp: Arc<TcpDialer>,
}

impl Dialer {
    pub fn new(timeouts: Timeouts) -> Self {
        Self::with_tcp(timeouts, Limits::default(), Arc::default())
    }

    /// Opens its connections through `tcp`, which several dialers may share.
    pub fn with_tcp(timeouts: Timeouts, limits: Limits, tcp: Arc<TcpDialer>) -> Self {
        Dialer {
            timeouts,
            buffer: limits.buffer,
            tls: tls::client_config(),
            tcp,
        }
    }

    /// Opens a connection and reads which key the peer holds. No request is sent on it.
    pub async fn dial(&self, origin: &Origin) -> Result<ObservedConnection, ChannelError> {
        let deadline = Instant::now() + self.timeouts.connect;
        let dialed = self
            .tcp
            .dial(origin.host(), origin.port(), |_| true, deadline);
        let Dialed { stream, address } = dialed.await?;
        // Latency matters more here than a few small packets. The connection works without it too.
        let _ = stream.set_nodelay(true);
        let handshake = TlsConnector::from(Arc::clone(&self.tls))
            .connect(origin.server_name(), Scrubbed::new(stream));
        let stream = match timeout_at(deadline, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(ChannelError::Tls(tls::handshake_failure(&error))),
            // The address accepts connections and does not serve them: later dials try it last.
            Err(_) => {
                self.tcp.note_failure(address);
                return Err(ChannelError::Timeout { stage: Stage::Tls });
            }
        };
        // Read from the finished handshake: the peer has proved that it holds this key, whatever its certificate says.
        let (spki, certificate) = tls::observed_key(stream.get_ref().1)?;
        let http = Http1::start(stream, self.buffer).await?;
        Ok(ObservedConnection::new(
            http,
            spki,
            certificate,
            origin.clone(),
            self.timeouts.report,
        ))
    }
}

impl From<DialError> for ChannelError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Resolve(_) => ChannelError::Resolve,
            DialError::ResolveTimeout => ChannelError::Timeout {
                stage: Stage::Resolve,
            },
            // Cannot happen here: `dial` above allows every address.
            DialError::NoneAllowed => ChannelError::Connect(std::io::ErrorKind::AddrNotAvailable),
            DialError::Connect(kind) => ChannelError::Connect(kind),
            DialError::ConnectTimeout => ChannelError::Timeout {
                stage: Stage::Connect,
            },
        }
    }
}
