//! The fields of a device's evidence that decide which collateral is requested. Nothing is verified.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::REVOCABLE;
use super::names::{ManifestName, names};
use crate::FetchError;
use attest_core::nvidia::{MAX_CHAIN_PEM_LEN, SpdmEvidence, UnverifiedDevice};

pub(super) struct Device {
    evidence: SpdmEvidence,
    chain: Vec<Vec<u8>>,
    chip: String,
}

impl Device {
    pub(super) fn read(device: &UnverifiedDevice) -> Result<Self, FetchError> {
        let evidence = SpdmEvidence::parse_prefix(&device.evidence)?;
        if device.certificate_chain.len() > MAX_CHAIN_PEM_LEN {
            return Err(FetchError::DeviceChain);
        }
        let chain: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(&device.certificate_chain)
            .map(|der| der.map(|der| der.to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|_| FetchError::DeviceChain)?;
        let chip = chain.first().and_then(|leaf| chip(leaf));
        Ok(Self {
            evidence,
            chip: chip.ok_or(FetchError::DeviceChain)?,
            chain,
        })
    }

    pub(super) fn manifests(&self) -> Result<Vec<ManifestName>, FetchError> {
        names(&self.evidence, &self.chip)
    }

    /// Certificates and their issuers, DER.
    pub(super) fn revocable(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        REVOCABLE.filter_map(|place| {
            let (certificate, issuer) = (self.chain.get(place)?, self.chain.get(place + 1)?);
            Some((certificate.as_slice(), issuer.as_slice()))
        })
    }
}

/// The first word of the leaf's common name: `GH100`.
fn chip(leaf: &[u8]) -> Option<String> {
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    let name = leaf.subject().iter_common_name().next()?.as_str().ok()?;
    name.split(' ').next().map(str::to_owned)
}
