//! Opening connections: resolve, connect, TLS, and the look at the peer's key.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use scrub::Scrubbed;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::error::{ChannelError, Stage};
use crate::http1::Http1;
use crate::{Limits, ObservedConnection, Origin, Timeouts, tls};

#[derive(Clone)]
pub struct Dialer {
    timeouts: Timeouts,
    buffer: usize,
    tls: Arc<ClientConfig>,
}

impl Dialer {
    pub fn new(timeouts: Timeouts) -> Self {
        Self::with_limits(timeouts, Limits::default())
    }

    pub fn with_limits(timeouts: Timeouts, limits: Limits) -> Self {
        Dialer {
            timeouts,
            buffer: limits.buffer,
            tls: tls::client_config(),
        }
    }

    /// Opens a connection and finds out whose it is. Nothing is sent on it.
    pub async fn dial(&self, origin: &Origin) -> Result<ObservedConnection, ChannelError> {
        let deadline = Instant::now() + self.timeouts.connect;
        let stream = self.connect(origin, deadline).await?;
        // Latency matters more here than a few small packets; failing to set it is no reason
        // to fail.
        let _ = stream.set_nodelay(true);
        let handshake = TlsConnector::from(Arc::clone(&self.tls))
            .connect(origin.server_name(), Scrubbed::new(stream));
        let stream = timeout_at(deadline, handshake)
            .await
            .map_err(|_| ChannelError::Timeout { stage: Stage::Tls })?
            .map_err(|error| ChannelError::Tls(error.to_string()))?;
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

    /// The first address that answers, tried one after the other.
    async fn connect(&self, origin: &Origin, deadline: Instant) -> Result<TcpStream, ChannelError> {
        let mut failure = ChannelError::Resolve;
        for address in self.resolve(origin, deadline).await? {
            match timeout_at(deadline, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = ChannelError::Connect(error.kind()),
                Err(_) => {
                    return Err(ChannelError::Timeout {
                        stage: Stage::Connect,
                    });
                }
            }
        }
        Err(failure)
    }

    async fn resolve(
        &self,
        origin: &Origin,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, ChannelError> {
        match timeout_at(deadline, resolver::lookup(origin.host(), origin.port())).await {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(_)) => Err(ChannelError::Resolve),
            Err(_) => Err(ChannelError::Timeout {
                stage: Stage::Resolve,
            }),
        }
    }
}
