//! What a certificate or a revocation list says of itself, for people who look at a file. Nothing
//! here is verified, and nothing that is verified is read through it.

use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::{Certificate, unix};
use crate::encoding::to_hex;
use crate::time::UnixTime;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSummary {
    /// Whose it is.
    pub subject: String,
    /// Who signed it, as it says.
    pub issuer: String,
    /// Its number, in hexadecimal.
    pub serial: String,
    /// First second of validity.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
}

/// What a revocation list says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationListSummary {
    /// Who signed it, as it says.
    pub issuer: String,
    /// When it was issued.
    pub issued: UnixTime,
    /// When the next is due, if it says so.
    pub next: Option<UnixTime>,
    /// How many certificates it revokes.
    pub revoked: usize,
}

impl CertificateSummary {
    /// Reads exactly one DER certificate.
    pub fn read(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::parse(der).ok()?;
        let (not_before, not_after) = certificate.validity();
        Some(Self {
            subject: certificate.x509.subject().to_string(),
            issuer: certificate.x509.issuer().to_string(),
            serial: to_hex(certificate.x509.raw_serial()),
            not_before,
            not_after,
        })
    }

    /// Reads a text of certificates in PEM.
    pub fn read_pem(text: &[u8]) -> Option<Vec<Self>> {
        let found = super::pem::certificates(text).ok()?;
        found.iter().map(|der| Self::read(der)).collect()
    }
}

impl RevocationListSummary {
    /// Reads exactly one list, DER or PEM.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let der = match super::pem::is_pem(bytes) {
            true => super::pem::revocation_list(bytes).ok()?,
            false => bytes.to_vec(),
        };
        let (rest, list) = CertificateRevocationList::from_der(&der).ok()?;
        rest.is_empty().then(|| Self {
            issuer: list.issuer().to_string(),
            issued: unix(list.last_update().timestamp()),
            next: list.next_update().map(|it| unix(it.timestamp())),
            revoked: list.iter_revoked_certificates().count(),
        })
    }
}
