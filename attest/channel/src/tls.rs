//! TLS towards a peer whose identity is its key, not its certificate.
//!
//! An attested service makes its TLS key inside the enclave and lists the key's SPKI digest in the
//! keyset that the hardware signs (ACI/1 §3.1). A certificate authority knows nothing of that, so
//! its signature proves nothing here, and asking for it would only add a party that can lie: chain,
//! name and dates are not looked at. What must hold is that the peer *has* the private key: the
//! TLS 1.3 `CertificateVerify` signature over this very handshake, checked with ring. The key is
//! then compared with the attested keyset before anything is sent.
//!
//! Sessions are never resumed and no early data is sent: a resumed handshake shows no certificate
//! and signs nothing, so there would be no key to compare.

use std::sync::Arc;

use attest_core::SpkiDigest;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind,
    PeerIncompatible, SignatureScheme,
};

use crate::TlsClock;
use crate::error::ChannelError;

/// The one client configuration of this crate.
pub(crate) fn client_config() -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier = ProofOfPossession::new(&provider);
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(TlsClock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the ring provider has TLS 1.3 cipher suites")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Which key the peer of a finished handshake has proved to hold.
pub(crate) fn observed_key(
    connection: &ClientConnection,
) -> Result<(SpkiDigest, CertificateDer<'static>), ChannelError> {
    match connection.handshake_kind() {
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) => {}
        _ => return Err(ChannelError::Tls("handshake was not a full one".to_owned())),
    }
    let leaf = connection
        .peer_certificates()
        .and_then(|chain| chain.first())
        .ok_or_else(|| ChannelError::Tls("peer showed no certificate".to_owned()))?;
    Ok((spki(leaf)?, leaf.clone().into_owned()))
}

/// The digest of the key that the handshake signature was checked with. It is read by the same
/// parser: with two, a crafted certificate could show each of them another key.
fn spki(leaf: &CertificateDer<'_>) -> Result<SpkiDigest, ChannelError> {
    let parsed = webpki::EndEntityCert::try_from(leaf)
        .map_err(|error| ChannelError::Tls(format!("certificate: {error}")))?;
    Ok(SpkiDigest::of_spki_der(&parsed.subject_public_key_info()))
}

/// Why a handshake failed, in plain words: rustls describes it with the names of its own types.
pub(crate) fn words(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|it| it.downcast_ref::<Error>());
    match inner {
        Some(Error::AlertReceived(AlertDescription::ProtocolVersion)) => {
            "the peer does not speak TLS 1.3".to_owned()
        }
        Some(Error::AlertReceived(alert)) => {
            format!(
                "the peer refused the handshake (alert {})",
                u8::from(*alert)
            )
        }
        Some(Error::InvalidMessage(_)) => "the peer does not speak TLS".to_owned(),
        Some(Error::PeerIncompatible(_)) => {
            "the peer speaks no version or cipher of TLS that is spoken here".to_owned()
        }
        Some(Error::InvalidCertificate(_)) => {
            "the peer does not show that it holds its certificate's key".to_owned()
        }
        Some(_) => "the peer does not keep to the protocol".to_owned(),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the peer closed the connection during the handshake".to_owned()
        }
        None => error.kind().to_string(),
    }
}

#[derive(Debug)]
struct ProofOfPossession {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ProofOfPossession {
    fn new(provider: &CryptoProvider) -> Self {
        ProofOfPossession {
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ServerCertVerifier for ProofOfPossession {
    /// Any certificate, deliberately: see the module's first paragraph.
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
