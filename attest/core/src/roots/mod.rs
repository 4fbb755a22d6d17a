//! The certificates all evidence must lead back to.
//!
//! Two origins, never mixed and never confused: [`Roots::vendor`] holds what the hardware vendors
//! publish, compiled in; [`Roots::supplied`] and [`Roots::none`] with [`Roots::with`] compare what the
//! caller handed over, for instance the software platform's. Where anything is supplied, evidence
//! whose kind of root was not supplied is not trusted at all. Every verdict says which it was.
//!
//! The vendors' roots are kept beside this file as DER; `tests.rs` compares the
//! SHA-256 of each with the one that is written down there:
//!
//! | file | certificate | where its vendor gives it out | valid |
//! |---|---|---|---|
//! | `intel-sgx-root-ca.der` | Intel SGX Root CA | `Intel_SGX_Provisioning_Certification_RootCA.cer` | 2018-05-21 to 2049-12-31 |
//! | `amd-ark-milan.der` | ARK-Milan | AMD KDS, `/vcek/v1/Milan/cert_chain` | 2020-10-22 to 2045-10-22 |
//! | `amd-ark-genoa.der` | ARK-Genoa | AMD KDS, `/vcek/v1/Genoa/cert_chain` | 2022-01-26 to 2047-01-26 |
//! | `amd-ark-turin.der` | ARK-Turin | AMD KDS, `/vcek/v1/Turin/cert_chain` | 2023-05-15 to 2048-05-15 |
//! | `nvidia-device-identity-ca.der` | NVIDIA Device Identity CA | NVIDIA/nvtrust, `verifier_device_root.pem` | 2021-11-05 to 9999-12-31 |
//! | `nvidia-corim-root-ca.der` | NVIDIA CoRIM signing Root CA | NVIDIA/nvtrust, `verifier_RIM_root.pem` | 2023-03-16 to 2053-03-08 |

mod kind;
#[cfg(test)]
mod tests;

use std::fmt;

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::digest::Sha256Digest;
use crate::x509::pem;

pub use kind::RootKind;

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
    /// In the order of [`RootKind::ALL`].
    ders: [Option<Vec<u8>>; RootKind::ALL.len()],
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
            ders: RootKind::ALL.map(|kind| Some(kind.vendor_der().to_vec())),
        }
    }

    /// A root the caller vouches for, standing where Intel's would: one certificate, PEM or DER.
    /// Evidence of other vendors is not trusted.
    pub fn supplied(intel_root_pem_or_der: &[u8]) -> Result<Self, RootsError> {
        Self::none().with(RootKind::Intel, intel_root_pem_or_der)
    }

    /// Supplied roots before any was supplied: no evidence is trusted.
    ///
    /// ```
    /// use attest_core::{RootKind, RootOrigin, Roots};
    /// let none = Roots::none();
    /// assert_eq!(none.origin(), RootOrigin::Supplied);
    /// assert_eq!(none.fingerprint(RootKind::Intel), None);
    /// ```
    pub fn none() -> Self {
        Self {
            origin: RootOrigin::Supplied,
            ders: Default::default(),
        }
    }

    /// The same and a root of this kind that the caller vouches for: one certificate, PEM or DER.
    /// What comes of it counts as supplied, whatever was there before.
    pub fn with(mut self, kind: RootKind, pem_or_der: &[u8]) -> Result<Self, RootsError> {
        let der = authority(pem_or_der)?;
        if self.origin == RootOrigin::Vendor {
            self = Self::none();
        }
        if let Some(slot) = self.ders.get_mut(kind.place()) {
            *slot = Some(der);
        }
        Ok(self)
    }

    /// Vendor or supplied.
    pub fn origin(&self) -> RootOrigin {
        self.origin
    }

    /// Whether there is no root of any kind.
    pub fn is_empty(&self) -> bool {
        self.ders.iter().all(Option::is_none)
    }

    /// SHA-256 of the certificate that evidence of this kind must lead to, if there is one.
    pub fn fingerprint(&self, kind: RootKind) -> Option<Sha256Digest> {
        self.der(kind).map(Sha256Digest::hash)
    }

    /// The root of this kind, DER.
    pub fn der(&self, kind: RootKind) -> Option<&[u8]> {
        self.ders.get(kind.place())?.as_deref()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = RootKind::ALL
            .into_iter()
            .filter_map(|kind| Some((kind.file_stem(), self.fingerprint(kind)?.to_string())));
        write!(f, "Roots({}) ", self.origin)?;
        f.debug_map().entries(held).finish()
    }
}

/// The DER of the one self-issued certificate authority in `bytes`.
fn authority(bytes: &[u8]) -> Result<Vec<u8>, RootsError> {
    if bytes.len() > MAX_ROOT_LEN {
        return Err(RootsError::TooLarge);
    }
    let der = one_certificate(bytes)?;
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
    Ok(der)
}

fn one_certificate(bytes: &[u8]) -> Result<Vec<u8>, RootsError> {
    if bytes.first() == Some(&0x30) {
        return Ok(bytes.to_vec());
    }
    let mut found = pem::certificates(bytes).map_err(|_| RootsError::NotACertificate)?;
    match found.pop() {
        Some(certificate) if found.is_empty() => Ok(certificate),
        _ => Err(RootsError::MoreThanOne),
    }
}
