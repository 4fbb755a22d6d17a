//! The TLS key of an epoch and the certificate around it.
//!
//! The key is made here, lives in this process and is never written anywhere. The certificate is self-signed: what
//! clients rely on is the key, through the keyset. TLS sessions resume within an epoch only: each epoch has a
//! separate store, there are no stateless tickets, and early data is off.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::server::ServerSessionMemoryCache;
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::EpochError;
use super::lifetime::Lifetime;
use attest_core::SpkiDigest;
use tls_client::TlsClock;

const RESUMABLE_SESSIONS: usize = 1024;

pub(super) struct Identity {
    pub tls: Arc<ServerConfig>,
    pub spki: SpkiDigest,
    pub pem: String,
}

/// Whether a certificate can contain these names.
pub(crate) fn names_fit(names: &[String]) -> bool {
    CertificateParams::new(names.to_vec()).is_ok()
}

/// Makes a new key, its certificate for `names` and this lifetime, and the TLS configuration that uses them.
pub(super) fn create(names: &[String], lifetime: &Lifetime) -> Result<Identity, EpochError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| EpochError::Keys)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(|_| EpochError::Names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(
        DnType::CommonName,
        names.first().map_or("sealgate", String::as_str),
    );
    let unix_epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = unix_epoch + Duration::from_secs(lifetime.not_before.secs());
    params.not_after = unix_epoch + Duration::from_secs(lifetime.not_after.secs());
    let certificate = params.self_signed(&key).map_err(|_| EpochError::Keys)?;
    let spki = SpkiDigest::from_certificate_der(certificate.der()).map_err(|_| EpochError::Keys)?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let private = PrivatePkcs8KeyDer::from(key.serialize_der());
    let mut tls = ServerConfig::builder_with_details(provider, Arc::new(TlsClock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], private.into())
        })
        .map_err(|_| EpochError::Keys)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A store for this epoch alone: a client cannot resume a session under keys that it has not verified.
    tls.session_storage = ServerSessionMemoryCache::new(RESUMABLE_SESSIONS);
    tls.max_early_data_size = 0;
    Ok(Identity {
        tls: Arc::new(tls),
        spki,
        pem: certificate.pem(),
    })
}
