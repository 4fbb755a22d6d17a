//! Opens connections and reads the peer's key from the handshake.

use std::sync::Arc;

use rustls::ClientConfig;
use tokio::time::Instant;

use crate::connection::ObservedConnection;
use crate::error::{ChannelError, Stage};
use crate::origin::Origin;
use crate::settings::Timeouts;
use crate::tls;
use crate::transport::tcp::{DialError, TcpDialer};
use crate::transport::{Connection, Destination, OpenError, Stream};

#[derive(Clone)]
pub struct Dialer {
    timeouts: Timeouts,
    tls: Arc<ClientConfig>,
    tcp: Arc<TcpDialer>,
}

impl Dialer {
    pub fn new(timeouts: Timeouts) -> Self {
        Self::with_tcp(timeouts, Arc::default())
    }

    /// Opens its connections through `tcp`, which several dialers may share.
    pub fn with_tcp(timeouts: Timeouts, tcp: Arc<TcpDialer>) -> Self {
        Dialer {
            timeouts,
            tls: tls::client_config(),
            tcp,
        }
    }

    /// Opens a connection and reads which key the peer holds. No request is sent on it.
    pub async fn dial(&self, origin: &Origin) -> Result<ObservedConnection, ChannelError> {
        let deadline = Instant::now() + self.timeouts.connect;
        let to = Destination {
            host: origin.host(),
            port: origin.port(),
            allowed: |_| true,
            tls: Some((&self.tls, origin.server_name())),
        };
        let stream = Stream::open(&self.tcp, to, deadline).await?;
        // Read from the finished handshake: the peer has proved that it holds this key, whatever its certificate says.
        let (spki, certificate) = tls::observed_key(stream.tls())?;
        Ok(ObservedConnection::new(
            Connection::new(stream),
            spki,
            certificate,
            origin.clone(),
            self.timeouts.report,
        ))
    }
}

impl From<OpenError> for ChannelError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Dial(error) => error.into(),
            OpenError::Tls(error) => ChannelError::Tls(tls::handshake_failure(&error)),
            OpenError::TlsTimeout => ChannelError::Timeout { stage: Stage::Tls },
        }
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
