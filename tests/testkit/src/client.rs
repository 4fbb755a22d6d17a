//! A bare HTTP/1.1 client over plain TCP or TLS 1.3, one connection at a time and in plain sight:
//! tests decide when to connect, see the key and whether the handshake resumed a session, read
//! chunk by chunk, and hang up by dropping.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, HandshakeKind, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Connects with TLS 1.3, remembering sessions as browsers and SDKs do.
#[derive(Clone)]
pub struct TlsClient(TlsConnector);

/// The name that every test server goes by.
const NAME: &str = "localhost";

impl TlsClient {
    /// Takes whatever certificate the server shows, provided that it holds the key.
    pub fn observing() -> Self {
        Self(observing_connector())
    }

    /// Takes only a server that holds the key with this SHA-256, as a client that pinned it would.
    pub fn pinning(spki_sha256: [u8; 32]) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = AnyCertificate {
            provider: provider.clone(),
            pinned: Some(spki_sha256),
        };
        Self(connector(Arc::new(verifier), provider))
    }

    /// Takes only certificates that chain to `ca_pem`, for the name `localhost`.
    pub fn trusting(ca_pem: &str) -> Result<Self> {
        use rustls::pki_types::pem::PemObject;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(certificate?)?;
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()?;
        Ok(Self(connector(verifier, provider)))
    }

    /// Speaks TLS 1.2 and nothing newer.
    pub fn of_yesterday() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = AnyCertificate {
            provider: provider.clone(),
            pinned: None,
        };
        Self(connector_of(
            &rustls::version::TLS12,
            Arc::new(verifier),
            provider,
        ))
    }

    /// Whether a session that is remembered allows sending before the handshake is over (0-RTT).
    pub fn would_send_early_data(&self) -> bool {
        rustls::ClientConnection::new(self.0.config().clone(), server_name())
            .is_ok_and(|mut connection| connection.early_data().is_some())
    }

    /// A TLS connection on which the test writes its own bytes.
    pub async fn raw(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(address).await.context("connect")?;
        tcp.set_nodelay(true)?;
        let name = server_name();
        self.0.connect(name, tcp).await.context("TLS handshake")
    }

    pub async fn connect(&self, address: SocketAddr) -> Result<Connection> {
        let tls = self.raw(address).await?;
        let (_, session) = tls.get_ref();
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let Some([certificate, ..]) = session.peer_certificates() else {
            bail!("the server showed no certificate");
        };
        let certificate = certificate.to_vec();
        Connection::open(tls, Some(certificate), resumed).await
    }
}

pub(crate) fn server_name() -> ServerName<'static> {
    ServerName::try_from(NAME).expect("a valid name")
}

pub(crate) fn observing_connector() -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = AnyCertificate {
        provider: provider.clone(),
        pinned: None,
    };
    connector(Arc::new(verifier), provider)
}

fn connector(verifier: Arc<dyn ServerCertVerifier>, provider: Arc<CryptoProvider>) -> TlsConnector {
    connector_of(&rustls::version::TLS13, verifier, provider)
}

fn connector_of(
    version: &'static SupportedProtocolVersion,
    verifier: Arc<dyn ServerCertVerifier>,
    provider: Arc<CryptoProvider>,
) -> TlsConnector {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("ring speaks it")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(64);
    config.enable_early_data = true;
    TlsConnector::from(Arc::new(config))
}

/// A JSON request under an API key, for [`Connection::send`] after adding headers.
pub fn post(path: &str, key: &str) -> http::request::Builder {
    Request::post(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
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

    async fn open(
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
        use x509_parser::prelude::{FromDer, X509Certificate};
        let (_, certificate) = X509Certificate::from_der(self.certificate.as_deref()?).ok()?;
        digest(&SHA256, certificate.public_key().raw)
            .as_ref()
            .try_into()
            .ok()
    }

    pub fn certificate_der(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    /// Whether the handshake resumed an earlier session instead of proving the key anew.
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
        let request = Request::get(path).header("authorization", format!("Bearer {key}"));
        self.send(request, Bytes::new()).await
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
        })
    }
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
}

impl Answer {
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

fn spki_sha256(certificate: &[u8]) -> Option<[u8; 32]> {
    use x509_parser::prelude::{FromDer, X509Certificate};
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    digest(&SHA256, certificate.public_key().raw)
        .as_ref()
        .try_into()
        .ok()
}

/// Checks that the server holds the key of its certificate, and which key if one is pinned.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
    pinned: Option<[u8; 32]>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pinned.is_some() && self.pinned != spki_sha256(certificate) {
            return Err(rustls::Error::General("not the pinned key".to_owned()));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General(
            "TLS 1.2 is not spoken here".to_owned(),
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
