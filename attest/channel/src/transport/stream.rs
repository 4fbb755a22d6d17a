//! One byte stream to a peer: plain TCP, or TLS on it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tcp::{DialError, Dialed, TcpDialer};
use scrub::Scrubbed;

/// Where a stream leads to.
pub struct Destination<'a> {
    pub host: &'a str,
    pub port: u16,
    /// Which of the host's addresses may be connected to.
    pub allowed: fn(&SocketAddr) -> bool,
    /// `None` for plain TCP.
    pub tls: Option<(&'a Arc<ClientConfig>, ServerName<'static>)>,
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("the TLS handshake took too long")]
    TlsTimeout,
}

pub enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<Scrubbed<TcpStream>>>),
}

impl Stream {
    /// Connects TCP to one of the host's addresses, and TLS on it, before `deadline`.
    pub async fn open(
        tcp: &TcpDialer,
        to: Destination<'_>,
        deadline: Instant,
    ) -> Result<Self, OpenError> {
        let dialed = tcp.dial(to.host, to.port, to.allowed, deadline);
        let Dialed { stream, address } = dialed.await?;
        // Without it small writes may wait for an acknowledgement; a failure costs only latency.
        let _ = stream.set_nodelay(true);
        let Some((config, name)) = to.tls else {
            return Ok(Stream::Tcp(stream));
        };
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, Scrubbed::new(stream));
        match timeout_at(deadline, handshake).await {
            Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => Err(OpenError::Tls(error)),
            // The address accepts connections and does not serve them: later dials try it last.
            Err(_) => {
                tcp.note_failure(address);
                Err(OpenError::TlsTimeout)
            }
        }
    }

    /// The TLS session, whose handshake has ended.
    pub fn tls(&self) -> Option<&ClientConnection> {
        match self {
            Stream::Tcp(_) => None,
            Stream::Tls(tls) => Some(tls.get_ref().1),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Tcp(tcp) => tcp.is_write_vectored(),
            Stream::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
