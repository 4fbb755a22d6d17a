//! The signers that manifests claim, for the OCSP responder to be asked about.

use x509_parser::prelude::{FromDer, X509Certificate};

use attest_core::nvidia::Rim;

/// Certificates and their issuers, DER. Left out are roots, which issue themselves,
/// and certificates whose issuer is neither in the same manifest nor the pinned `root`.
pub(super) fn revocable(manifests: &[Vec<u8>], root: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    for manifest in manifests {
        let signers = Rim::from_bytes(manifest).map(|rim| rim.claimed_signers());
        let signers = signers.unwrap_or_default();
        for certificate in &signers {
            if let Some(issuer) = issuer_of(certificate, &signers, root) {
                pairs.push((certificate.clone(), issuer.to_vec()));
            }
        }
    }
    pairs
}

fn issuer_of<'a>(certificate: &[u8], signers: &'a [Vec<u8>], root: &'a [u8]) -> Option<&'a [u8]> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    if read.issuer().as_raw() == read.subject().as_raw() {
        return None;
    }
    let named = |der: &&[u8]| {
        let other = X509Certificate::from_der(der);
        other.is_ok_and(|(_, other)| other.subject().as_raw() == read.issuer().as_raw())
    };
    // The pinned root first: with another certificate of its name the request would state the wrong issuer key.
    let mut issuers = std::iter::once(root).chain(signers.iter().map(Vec::as_slice));
    issuers.find(named)
}
