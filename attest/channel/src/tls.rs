//! TLS towards a peer whose identity is its key, not its certificate.
//!
//! An attested service makes its TLS key inside the enclave and lists the key's SPKI digest in the
//! keyset that the hardware signs (ACI/1 §3.1). A certificate authority cannot attest that, so
//! its signature proves nothing here and would only add a party that can lie: chain,
//! name and dates are not checked. The peer must *have* the private key: the
//! TLS 1.3 `CertificateVerify` signature over this handshake is checked with ring. The key is
//! then compared with the attested keyset before anything is sent.
//!
//! Sessions are never resumed and no early data is sent: a resumed handshake has no certificate
//! and no signature, so there would be no key to compare.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind,
    PeerIncompatible, SignatureScheme,
};

use crate::error::ChannelError;
use attest_core::SpkiDigest;

/// TLS 1.3 to a peer that proves possession of its key.
pub(crate) fn client_config() -> Arc<ClientConfig> {
    let builder = tls_client::client_builder(&[&rustls::version::TLS13]);
    let verifier = ProofOfPossession::new(builder.crypto_provider());
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// The key that the peer of a finished handshake has proved to hold.
pub(crate) fn observed_key(
    connection: Option<&ClientConnection>,
) -> Result<(SpkiDigest, CertificateDer<'static>), ChannelError> {
    // Every connection here uses TLS; without it there would be no key.
    let connection = connection.ok_or_else(|| ChannelError::Tls("no TLS session".to_owned()))?;
    match connection.handshake_kind() {
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) => {}
        // Resumption is disabled, so this is a defect here or in rustls; never a key that was proved.
        _ => return Err(ChannelError::Tls("handshake was not a full one".to_owned())),
    }
    let leaf = connection
        .peer_certificates()
        .and_then(|chain| chain.first())
        .ok_or_else(|| ChannelError::Tls("the peer sent no certificate".to_owned()))?;
    Ok((spki(leaf)?, leaf.clone().into_owned()))
}

/// The digest of the key that the handshake signature was checked with. It is read by the parser that rustls
/// uses for that check: with two parsers, a crafted certificate could show each of them another key.
fn spki(leaf: &CertificateDer<'_>) -> Result<SpkiDigest, ChannelError> {
    let parsed = webpki::EndEntityCert::try_from(leaf)
        .map_err(|error| ChannelError::Tls(format!("certificate: {error}")))?;
    Ok(SpkiDigest::from_spki_der(&parsed.subject_public_key_info()))
}

/// Why a handshake failed, as a sentence: rustls prints the names of its types.
pub(crate) fn handshake_failure(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|it| it.downcast_ref::<Error>());
    match inner {
        Some(Error::AlertReceived(AlertDescription::ProtocolVersion)) => {
            "the peer does not support TLS 1.3".to_owned()
        }
        Some(Error::AlertReceived(alert)) => {
            format!(
                "the peer refused the handshake (alert {})",
                u8::from(*alert)
            )
        }
        Some(Error::InvalidMessage(_)) => "the peer's answer is not TLS".to_owned(),
        Some(Error::PeerIncompatible(_)) => {
            "no TLS version or cipher suite in common with the peer".to_owned()
        }
        Some(Error::InvalidCertificate(_)) => {
            "the peer did not prove that it holds its certificate's key".to_owned()
        }
        Some(_) => "the peer violated the TLS protocol".to_owned(),
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
    /// Accepts any certificate, deliberately: see the module's first paragraph.
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
