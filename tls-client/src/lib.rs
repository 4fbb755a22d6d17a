//! The one configuration of TLS clients: ring as the only provider of cryptography, a clock that does not
//! panic, and no key log.
//!
//! [`client_config`] is for peers that certificate authorities vouch for. A peer that is verified in another way starts
//! from [`client_builder`] and brings its own verifier.

#![warn(unreachable_pub)]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConfig, ConfigBuilder, DEFAULT_VERSIONS, SupportedProtocolVersion, WantsVerifier,
};

/// A configuration that accepts servers whose certificate one of `authorities` vouches for, over TLS 1.2 and 1.3.
pub fn client_config(authorities: RootCertStore) -> ClientConfig {
    client_builder(DEFAULT_VERSIONS)
        .with_root_certificates(authorities)
        .with_no_client_auth()
}

/// A configuration that still needs a verifier.
///
/// # Panics
/// If `versions` is empty.
pub fn client_builder(
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsVerifier> {
    let provider = Arc::new(ring::default_provider());
    ClientConfig::builder_with_details(provider, Arc::new(TlsClock))
        .with_protocol_versions(versions)
        .expect("ring has cipher suites for every version of TLS that rustls supports")
}

/// The certificate authorities that this machine trusts. Entries that cannot be read are left out; on a machine
/// without any, the store is empty and every handshake fails.
pub fn system_authorities() -> RootCertStore {
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    authorities
}

/// Why a file cannot be a list of certificate authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthoritiesError {
    /// Not PEM.
    Pem,
    /// A certificate that cannot be an authority.
    Certificate,
    /// No certificate in it.
    Empty,
}

impl std::fmt::Display for AuthoritiesError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pem => "is not PEM",
            Self::Certificate => "contains a certificate that cannot be an authority",
            Self::Empty => "contains no certificate",
        })
    }
}

/// The certificate authorities of a PEM file.
pub fn authorities_from_pem(pem: &[u8]) -> Result<RootCertStore, AuthoritiesError> {
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| AuthoritiesError::Pem)?;
        authorities
            .add(certificate)
            .map_err(|_| AuthoritiesError::Certificate)?;
    }
    if authorities.is_empty() {
        return Err(AuthoritiesError::Empty);
    }
    Ok(authorities)
}

/// The machine's clock for rustls, whose default provider panics if the clock is set before 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsClock;

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            // A clock before 1970 counts as 1970: no certificate is valid then.
            .unwrap_or_default();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(
            since_epoch.as_secs(),
        )))
    }
}
