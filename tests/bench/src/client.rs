//! A deliberately small HTTP/1.1 client: one connection, one request at a time, the body handed out as it arrives, so
//! that the load costs little beside what it measures. Loopback only: it accepts every certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BytesMut};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where requests go.
#[derive(Clone)]
pub struct Endpoint {
    address: SocketAddr,
    tls: Option<TlsConnector>,
    path: String,
}

impl Endpoint {
    /// `http://127.0.0.1:PORT/path` or the same with https.
    pub fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").context("a URL has a scheme")?;
        let (authority, path) = rest.split_once('/').context("a URL has a path")?;
        let address: SocketAddr = authority
            .parse()
            .context("the host is an IP address with a port")?;
        ensure!(
            address.ip().is_loopback(),
            "{address} is not on this machine"
        );
        let tls = match scheme {
            "http" => None,
            "https" => Some(TlsConnector::from(Arc::new(tls()?))),
            other => bail!("unknown scheme {other}"),
        };
        Ok(Self {
            address,
            tls,
            path: format!("/{path}"),
        })
    }

    /// A whole request, ready to be written.
    pub fn request(&self, method: &str, key: Option<&str>, body: &str) -> Vec<u8> {
        let authorization = key.map_or_else(String::new, |key| {
            format!("authorization: Bearer {key}\r\n")
        });
        format!(
            "{method} {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{authorization}content-length: {}\r\n\r\n{body}",
            self.path,
            self.address,
            body.len()
        )
        .into_bytes()
    }

    pub async fn connect(&self) -> Result<Connection> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => Box::new(
                tls.connect(ServerName::from(self.address.ip()), tcp)
                    .await?,
            ),
        };
        Ok(Connection {
            stream,
            buffer: BytesMut::with_capacity(64 * 1024),
        })
    }
}

/// One exchange on a new connection, within twenty seconds: status and body.
pub fn fetch(endpoint: &Endpoint, request: &[u8]) -> Result<(u16, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let exchange = async {
            let mut connection = endpoint.connect().await?;
            connection.send(request).await?;
            let head = connection.head().await?;
            let mut text = Vec::new();
            connection
                .body(&head, |piece| text.extend_from_slice(piece))
                .await?;
            anyhow::Ok((head.status, text))
        };
        tokio::time::timeout(Duration::from_secs(20), exchange).await?
    })
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

pub struct Connection {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
}

/// The beginning of a response.
pub struct Head {
    pub status: u16,
    framing: Framing,
}

#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    pub async fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        Ok(())
    }

    pub async fn head(&mut self) -> Result<Head> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut response = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(length) = response.parse(&self.buffer)? {
                let status = response.code.context("a response has a status")?;
                let framing = framing(response.headers)?;
                self.buffer.advance(length);
                return Ok(Head { status, framing });
            }
            self.fill().await?;
        }
    }

    /// Reads the body to its end; `piece` gets each part as soon as it is here.
    pub async fn body(&mut self, head: &Head, mut piece: impl FnMut(&[u8])) -> Result<()> {
        match head.framing {
            Framing::Length(length) => self.take(length, &mut piece).await,
            Framing::Chunked => loop {
                let size = self.chunk_size().await?;
                self.take(size, &mut piece).await?;
                self.take(2, &mut |_| {}).await?;
                if size == 0 {
                    return Ok(());
                }
            },
        }
    }

    async fn chunk_size(&mut self) -> Result<usize> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((used, size))) => {
                    self.buffer.advance(used);
                    return Ok(usize::try_from(size)?);
                }
                Ok(httparse::Status::Partial) => self.fill().await?,
                Err(_) => bail!("a chunk has no size"),
            }
        }
    }

    async fn take(&mut self, mut length: usize, piece: &mut impl FnMut(&[u8])) -> Result<()> {
        while length > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let part = length.min(self.buffer.len());
            piece(&self.buffer[..part]);
            self.buffer.advance(part);
            length -= part;
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<()> {
        self.buffer.reserve(16 * 1024);
        let read = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "the connection ended inside a response");
        Ok(())
    }
}

fn framing(headers: &[httparse::Header<'_>]) -> Result<Framing> {
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            return Ok(Framing::Length(
                std::str::from_utf8(header.value)?.trim().parse()?,
            ));
        }
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(Framing::Chunked);
        }
    }
    bail!("a response says neither its length nor that it is chunked")
}

fn tls() -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(DangerousAnyCertificate(algorithms)))
        .with_no_client_auth();
    Ok(config)
}

/// Accepts any server that holds the key of its certificate: these are our own children on loopback.
#[derive(Debug)]
struct DangerousAnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for DangerousAnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
