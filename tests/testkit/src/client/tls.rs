//! TLS for a client that observes keys: no certificate authority, only proof of possession.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ring::digest::{SHA256, digest};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme, SupportedProtocolVersion,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Connection;

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

    /// Offers these application protocols, most wanted first.
    #[must_use]
    pub fn offering(self, protocols: &[&str]) -> Self {
        let mut config = ClientConfig::clone(self.0.config());
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Self(TlsConnector::from(Arc::new(config)))
    }

    /// A TLS connection on which the test writes its own bytes.
    pub async fn raw(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(address).await.context("connect")?;
        tcp.set_nodelay(true)?;
        let name = server_name();
        self.0.connect(name, tcp).await.context("TLS handshake")
    }

    pub async fn connect(&self, address: SocketAddr) -> Result<Connection> {
        Self::connection(self.raw(address).await?).await
    }

    /// Connects with this source address; every loopback address is one of this machine's.
    pub async fn connect_from(&self, source: Ipv4Addr, address: SocketAddr) -> Result<Connection> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let tcp = socket.connect(address).await.context("connect")?;
        tcp.set_nodelay(true)?;
        let tls = self.0.connect(server_name(), tcp).await;
        Self::connection(tls.context("TLS handshake")?).await
    }

    async fn connection(tls: TlsStream<TcpStream>) -> Result<Connection> {
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

/// SHA-256 of the public key in a certificate.
pub(super) fn spki_sha256(certificate: &[u8]) -> Option<[u8; 32]> {
    use x509_parser::prelude::{FromDer, X509Certificate};
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    digest(&SHA256, certificate.public_key().raw)
        .as_ref()
        .try_into()
        .ok()
}

/// The dates in a certificate.
pub(super) fn dates(certificate: &[u8]) -> Option<(i64, i64)> {
    use x509_parser::prelude::{FromDer, X509Certificate};
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let validity = certificate.validity();
    Some((
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    ))
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
