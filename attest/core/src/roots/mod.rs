//! The certificates all evidence must lead back to.
//!
//! Two origins, never mixed and never confused: [`Roots::vendor`] holds what the hardware vendors
//! publish, compiled in; [`Roots::supplied`] holds what the caller handed over, for instance the
//! software platform's. Every verdict says which it was.
//!
//! The vendor's root for TDX is the Intel SGX Root CA as Intel distributes it
//! (`Intel_SGX_Provisioning_Certification_RootCA.cer`, valid 2018-05-21 to 2049-12-31), kept beside
//! this file as DER with the SHA-256 in [`INTEL_ROOT_SHA256`].

use std::fmt;

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::digest::Sha256Digest;

/// Intel SGX Root CA, DER.
const INTEL_ROOT_DER: &[u8] = include_bytes!("intel-sgx-root-ca.der");

/// SHA-256 of the compiled-in Intel root, in hexadecimal.
pub const INTEL_ROOT_SHA256: &str =
    "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3";

const MAX_ROOT_LEN: usize = 16 << 10;

/// Where the roots came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RootOrigin {
    /// Published by the hardware vendors and compiled into this crate.
    Vendor,
    /// Handed over by the caller; proves what the caller's hierarchy proves, not real hardware.
    Supplied,
}

impl RootOrigin {
    /// `vendor` or `supplied`, as in JSON verdicts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vendor => "vendor",
            Self::Supplied => "supplied",
        }
    }

    /// The sentence a verdict for people carries.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Vendor => "rooted in the hardware vendor's published root",
            Self::Supplied => "rooted in a SUPPLIED root, not a hardware vendor's",
        }
    }
}

impl fmt::Display for RootOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Trust anchors for every kind of evidence this crate verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct Roots {
    origin: RootOrigin,
    intel_der: Vec<u8>,
}

/// Why bytes are not a usable root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    /// Larger than any root certificate.
    #[error("the root is too large")]
    TooLarge,
    /// Neither one PEM certificate nor DER.
    #[error("the root is not a certificate in PEM or DER")]
    NotACertificate,
    /// More than one PEM block: which one would be trusted is not for this crate to choose.
    #[error("the root file holds more than one certificate")]
    MoreThanOne,
    /// A certificate that is not a certificate authority.
    #[error("the certificate is not a certificate authority")]
    NotAnAuthority,
    /// A certificate whose issuer is someone else.
    #[error("the certificate is not self-issued")]
    NotSelfIssued,
}

impl Roots {
    /// The vendors' published roots.
    ///
    /// ```
    /// assert_eq!(attest_core::Roots::vendor().origin(), attest_core::RootOrigin::Vendor);
    /// ```
    pub fn vendor() -> Self {
        Self {
            origin: RootOrigin::Vendor,
            intel_der: INTEL_ROOT_DER.to_vec(),
        }
    }

    /// A root the caller vouches for, standing where Intel's would: one certificate, PEM or DER.
    pub fn supplied(intel_root_pem_or_der: &[u8]) -> Result<Self, RootsError> {
        if intel_root_pem_or_der.len() > MAX_ROOT_LEN {
            return Err(RootsError::TooLarge);
        }
        let der = one_certificate(intel_root_pem_or_der)?;
        let (rest, certificate) =
            X509Certificate::from_der(&der).map_err(|_| RootsError::NotACertificate)?;
        if !rest.is_empty() {
            return Err(RootsError::NotACertificate);
        }
        if !certificate.is_ca() {
            return Err(RootsError::NotAnAuthority);
        }
        if certificate.issuer().as_raw() != certificate.subject().as_raw() {
            return Err(RootsError::NotSelfIssued);
        }
        Ok(Self {
            origin: RootOrigin::Supplied,
            intel_der: der,
        })
    }

    /// Vendor or supplied.
    pub fn origin(&self) -> RootOrigin {
        self.origin
    }

    /// SHA-256 of the certificate TDX evidence must lead to.
    pub fn intel_fingerprint(&self) -> Sha256Digest {
        Sha256Digest::of(&self.intel_der)
    }

    pub(crate) fn intel_der(&self) -> &[u8] {
        &self.intel_der
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({}, {})", self.origin, self.intel_fingerprint())
    }
}

fn one_certificate(bytes: &[u8]) -> Result<Vec<u8>, RootsError> {
    if bytes.first() == Some(&0x30) {
        return Ok(bytes.to_vec());
    }
    let mut found = None;
    for block in x509_parser::pem::Pem::iter_from_buffer(bytes) {
        let block = block.map_err(|_| RootsError::NotACertificate)?;
        if block.label != "CERTIFICATE" {
            return Err(RootsError::NotACertificate);
        }
        if found.replace(block.contents).is_some() {
            return Err(RootsError::MoreThanOne);
        }
    }
    found.ok_or(RootsError::NotACertificate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::to_base64;

    fn pem(der: &[u8]) -> String {
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            to_base64(der)
        )
    }

    #[test]
    fn the_compiled_in_root_is_the_one_written_down() {
        let roots = Roots::vendor();
        assert_eq!(roots.intel_fingerprint().to_hex(), INTEL_ROOT_SHA256);
        assert_eq!(roots.origin().as_str(), "vendor");
    }

    #[test]
    fn pem_and_der_are_both_read_and_are_never_called_the_vendors() {
        let der = Roots::supplied(INTEL_ROOT_DER).unwrap();
        let pem = Roots::supplied(pem(INTEL_ROOT_DER).as_bytes()).unwrap();
        assert_eq!(der, pem);
        assert_eq!(der.origin(), RootOrigin::Supplied);
        assert_ne!(der, Roots::vendor());
    }

    #[test]
    fn what_is_no_root_is_refused_each_with_its_own_error() {
        assert_eq!(Roots::supplied(b""), Err(RootsError::NotACertificate));
        assert_eq!(Roots::supplied(b"hello"), Err(RootsError::NotACertificate));
        assert_eq!(
            Roots::supplied(&INTEL_ROOT_DER[..INTEL_ROOT_DER.len() - 1]),
            Err(RootsError::NotACertificate)
        );
        let mut longer = INTEL_ROOT_DER.to_vec();
        longer.push(0);
        assert_eq!(Roots::supplied(&longer), Err(RootsError::NotACertificate));
        let twice = pem(INTEL_ROOT_DER).repeat(2);
        assert_eq!(
            Roots::supplied(twice.as_bytes()),
            Err(RootsError::MoreThanOne)
        );
        assert_eq!(
            Roots::supplied(&vec![0x30; 20_000]),
            Err(RootsError::TooLarge)
        );
    }
}
