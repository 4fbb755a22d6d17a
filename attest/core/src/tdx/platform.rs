//! What the platform's PCK certificate says about the machine.
//!
//! Intel SGX PCK Certificate and CRL Profile Specification, section 1.3.5: the SGX extension
//! carries PPID, TCB, PCE id and FMSPC.

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::time::UnixTime;

/// Facts of a PCK certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformFacts {
    /// Family, model, stepping, platform and custom SKU.
    pub fmspc: [u8; 6],
    /// Platform provisioning id: which machine it is.
    pub ppid: Vec<u8>,
    /// Which provisioning certification enclave.
    pub pce_id: Vec<u8>,
    /// CPU security versions that Intel certified.
    pub cpusvn: [u8; 16],
    /// Security version of the provisioning certification enclave.
    pub pcesvn: u16,
    /// Common name of the issuing authority.
    pub issuer: String,
    /// Serial number, big-endian.
    pub serial: Vec<u8>,
    /// Valid from.
    pub not_before: UnixTime,
    /// Valid until.
    pub not_after: UnixTime,
}

/// Reads the leaf of a PCK chain; nothing if it is not one.
pub(crate) fn read(chain_pem: &[u8]) -> Option<PlatformFacts> {
    let leaf = x509_parser::pem::Pem::iter_from_buffer(chain_pem)
        .next()?
        .ok()?
        .contents;
    let extension = dcap_qvl::intel::parse_pck_extension(&leaf).ok()?;
    let (_, certificate) = X509Certificate::from_der(&leaf).ok()?;
    let issuer = certificate
        .issuer()
        .iter_common_name()
        .next()?
        .as_str()
        .ok()?
        .to_owned();
    Some(PlatformFacts {
        fmspc: extension.fmspc,
        ppid: extension.ppid,
        pce_id: extension.pce_id,
        cpusvn: extension.cpu_svn,
        pcesvn: extension.pce_svn,
        issuer,
        serial: certificate.raw_serial().to_vec(),
        not_before: super::dates::unix(certificate.validity().not_before)?,
        not_after: super::dates::unix(certificate.validity().not_after)?,
    })
}
