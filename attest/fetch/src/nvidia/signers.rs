//! The signers of manifests, as the manifests claim them: whom to ask the OCSP responder about.

use attest_core::nvidia::Rim;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificates and their issuers, DER. A root is its own issuer and nobody is asked about it, nor
/// about a certificate whose issuer is not beside it.
pub(super) fn of(manifests: &[Vec<u8>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    for manifest in manifests {
        let signers = Rim::from_bytes(manifest).map(|rim| rim.claimed_signers());
        let signers = signers.unwrap_or_default();
        for certificate in &signers {
            if let Some(issuer) = issuer_of(certificate, &signers) {
                pairs.push((certificate.clone(), issuer));
            }
        }
    }
    pairs
}

fn issuer_of(certificate: &[u8], signers: &[Vec<u8>]) -> Option<Vec<u8>> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    if read.issuer().as_raw() == read.subject().as_raw() {
        return None;
    }
    let named = |der: &&Vec<u8>| {
        let other = X509Certificate::from_der(der);
        other.is_ok_and(|(_, other)| other.subject().as_raw() == read.issuer().as_raw())
    };
    signers.iter().find(named).cloned()
}
