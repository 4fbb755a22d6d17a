//! A bare HTTP/1.1 client over plain TCP or TLS 1.3, one connection at a time and in plain sight:
//! tests decide when to connect, see the key and whether the handshake resumed a session, read
//! chunk by chunk, and hang up by dropping.

mod tls;

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

pub use tls::TlsClient;
pub(crate) use tls::{observing_connector, server_name};

/// A JSON request under an API key, for [`Connection::send`] after adding headers.
pub fn post(path: &str, key: &str) -> http::request::Builder {
    Request::post(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
}

/// A request under an API key, for [`Connection::send`].
pub fn get(path: &str, key: &str) -> http::request::Builder {
    Request::get(path).header("authorization", format!("Bearer {key}"))
}

/// One connection. Dropping it closes the socket, whatever was in flight.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    certificate: Option<Vec<u8>>,
    resumed: bool,
}

impl Connection {
    pub async fn plain(address: SocketAddr) -> Result<Self> {
        let tcp = TcpStream::connect(address).await.context("connect")?;
        tcp.set_nodelay(true)?;
        Self::open(tcp, None, false).await
    }

    pub(super) async fn open(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        certificate: Option<Vec<u8>>,
        resumed: bool,
    ) -> Result<Self> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // How a connection ended shows in the answers read from it.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            driver,
            certificate,
            resumed,
        })
    }

    /// SHA-256 of the server's public key.
    pub fn spki_sha256(&self) -> Option<[u8; 32]> {
        tls::spki_sha256(self.certificate.as_deref()?)
    }

    pub fn certificate_der(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    /// From when to when the server's certificate is valid, in seconds since 1970.
    pub fn certificate_dates(&self) -> Option<(i64, i64)> {
        tls::dates(self.certificate.as_deref()?)
    }

    /// Whether the handshake resumed an earlier session instead of proving the key again.
    pub fn was_resumed(&self) -> bool {
        self.resumed
    }

    /// Whether the server has closed this connection.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(Request::get(path), Bytes::new()).await
    }

    pub async fn get_as(&mut self, key: &str, path: &str) -> Result<Answer> {
        self.send(get(path, key), Bytes::new()).await
    }

    pub async fn post(&mut self, key: &str, path: &str, body: &Value) -> Result<Answer> {
        self.post_bytes(key, path, body.to_string()).await
    }

    pub async fn post_bytes(
        &mut self,
        key: &str,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        self.send(post(path, key), body.into()).await
    }

    pub async fn send(&mut self, request: http::request::Builder, body: Bytes) -> Result<Answer> {
        let request = request.header("host", "localhost").body(Full::new(body))?;
        self.sender
            .ready()
            .await
            .context("the connection is closed")?;
        let response = self.sender.send_request(request).await.context("send")?;
        let (parts, body) = response.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
            _connection: None,
        })
    }
}

/// How often a request may meet the end of an epoch before the fault is the gateway's.
const RESENDS: usize = 3;

/// Sends a request on the connection in `open`, or on a new one, and again on another where the first answer is no
/// answer: refused because the connection's epoch has ended, or on a reused connection that was closed just then. As
/// OpenAI's clients do. On a new connection any failure is final.
pub async fn send_in_any_epoch<F: Future<Output = Result<Connection>>>(
    open: &mut Option<Connection>,
    connect: impl Fn() -> F,
    request: impl Fn() -> (http::request::Builder, Bytes),
) -> Result<Answer> {
    for _ in 0..RESENDS {
        let reusable = open.take().filter(|open| !open.is_closed());
        let is_reused = reusable.is_some();
        let connection = match reusable {
            Some(connection) => connection,
            None => connect().await?,
        };
        let (head, body) = request();
        match open.insert(connection).send(head, body).await {
            Ok(answer) if answer.is_from_ended_epoch() => *open = None,
            Err(_) if is_reused => *open = None,
            answered => return answered,
        }
    }
    anyhow::bail!("{RESENDS} epochs ended before there was an answer")
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A response whose body is still on the wire.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    /// Open as long as the answer, if [`Answer::keeping`] was called.
    _connection: Option<Connection>,
}

impl Answer {
    /// Keeps `connection` open until the answer is read or dropped. A dropped connection closes its socket, and with it
    /// the rest of a body that is still being received is lost.
    pub fn keeping(mut self, connection: Connection) -> Self {
        self._connection = Some(connection);
        self
    }

    /// Whether the request was refused unread because the epoch of its connection has ended: it may be sent again on
    /// another connection.
    pub fn is_from_ended_epoch(&self) -> bool {
        self.status == StatusCode::MISDIRECTED_REQUEST
            && self.header("x-should-retry") == Some("true")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next piece of the body as it arrived, `None` at its proper end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => match frame.context("the body broke off")?.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    _ => continue,
                },
            }
        }
    }

    pub async fn bytes(mut self) -> Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }

    pub async fn json(self) -> Result<Value> {
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&bytes)))
    }
}
