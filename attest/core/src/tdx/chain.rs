//! Intel's certificate chains: from a leaf to the root that is trusted.
//!
//! Intel SGX PCK Certificate and CRL Profile Specification 1.5. Two shapes exist, and each is walked
//! link by link: PCK certificate, PCK authority, root; and signer of TCB info and QE identity, root.
//! A chain has exactly those certificates in that order, and its last one is the root itself, byte for
//! byte, so that no certificate in a chain is there without a meaning. Checked here is what stays
//! true; whether a certificate is valid at a time and whether it was revoked is checked at every use.

use std::rc::Rc;

use super::pck_extension::PckExtensionError;
use crate::time::UnixTime;
use crate::x509::StrictCertificate as Certificate;
use crate::x509::{PemError, SignedObjectError, X509Error, common_name, pem};

/// 2.5.29.15.
const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];
/// 2.5.29.19.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];

/// Which certificate of Intel's something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Intel SGX Root CA.
    Root,
    /// Intel SGX PCK Platform CA or Intel SGX PCK Processor CA.
    PckAuthority,
    /// Intel SGX PCK Certificate.
    Pck,
    /// Intel SGX TCB Signing.
    Signer,
}

impl Role {
    /// What people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "the root certificate",
            Self::PckAuthority => "the PCK authority's certificate",
            Self::Pck => "the PCK certificate",
            Self::Signer => "the signer's certificate",
        }
    }

    /// One of these is part of the subject's common name.
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Root => &["SGX Root CA"],
            Self::PckAuthority => &["SGX PCK Platform CA", "SGX PCK Processor CA"],
            Self::Pck => &["SGX PCK Certificate"],
            Self::Signer => &["SGX TCB Signing"],
        }
    }

    /// How many authorities may follow below this one; nothing for a certificate that signs none.
    const fn authorities_below(self) -> Option<u8> {
        match self {
            Self::Root => Some(1),
            Self::PckAuthority => Some(0),
            Self::Pck | Self::Signer => None,
        }
    }
}

/// Why a certificate cannot stand where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be read.
    #[error("{0}")]
    Format(X509Error),
    /// An extension twice, or a critical one that is not known.
    #[error("it has extensions that are not Intel's")]
    Extensions,
    /// Its subject is not the one this place has.
    #[error("its subject is another")]
    Name,
    /// It signs others and may not, or the other way round.
    #[error("its authority flag or key usage is another")]
    Authority,
    /// Its key is not on P-256.
    #[error("its key is not on P-256")]
    Key,
    /// It is not signed by the next certificate.
    #[error("{0}")]
    Signature(SignedObjectError),
    /// What Intel certifies of a platform cannot be read.
    #[error("{0}")]
    PckExtension(PckExtensionError),
}

/// Why a chain does not lead to the root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Not certificates in PEM and nothing else.
    #[error("{0}")]
    Pem(PemError),
    /// More or fewer certificates than the chain has.
    #[error("it has {found} certificates, not {expected}")]
    Length {
        /// As found.
        found: usize,
        /// As it has to be.
        expected: usize,
    },
    /// Its last certificate is not the root that is trusted.
    #[error("its last certificate is not the trusted root")]
    OtherRoot,
    /// One of its certificates cannot be read.
    #[error("{0}")]
    Format(X509Error),
    /// A certificate is not valid at the stated time.
    #[error("{} is valid from {not_before} to {not_after}", role.as_str())]
    Dates {
        /// Which.
        role: Role,
        /// From.
        not_before: UnixTime,
        /// To.
        not_after: UnixTime,
    },
    /// A certificate cannot stand where it stands.
    #[error("{}: {error}", role.as_str())]
    Certificate {
        /// Which.
        role: Role,
        /// Why.
        error: CertificateError,
    },
}

/// The certificates of one chain as they came, leaf first, DER. Nothing about them is verified.
#[derive(Debug)]
pub(crate) struct UnverifiedChain<const N: usize>(pub(crate) [Vec<u8>; N]);

impl<const N: usize> UnverifiedChain<N> {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ChainError> {
        let certificates = pem::certificates(text).map_err(ChainError::Pem)?;
        let length = |found: Vec<_>| ChainError::Length {
            found: found.len(),
            expected: N,
        };
        <[Vec<u8>; N]>::try_from(certificates)
            .map(Self)
            .map_err(length)
    }
}

/// The certificates of one verification, each read once: a root stands in every chain, and one signer
/// signs both of Intel's texts.
#[derive(Default)]
pub(crate) struct Certificates<'c>(Vec<Rc<Certificate<'c>>>);

impl<'c> Certificates<'c> {
    pub(crate) fn read(&mut self, der: &'c [u8]) -> Result<Rc<Certificate<'c>>, X509Error> {
        if let Some(known) = self.0.iter().find(|known| known.der == der) {
            return Ok(Rc::clone(known));
        }
        let certificate = Rc::new(Certificate::parse(der)?);
        self.0.push(Rc::clone(&certificate));
        Ok(certificate)
    }

    /// First and last second of each certificate of a chain.
    pub(crate) fn dates<const N: usize>(
        &mut self,
        chain: &'c UnverifiedChain<N>,
    ) -> Result<Vec<(UnixTime, UnixTime)>, ChainError> {
        let dates = |der: &'c Vec<u8>| self.read(der).map(|it| it.validity);
        let dates: Result<_, _> = chain.0.iter().map(dates).collect();
        dates.map_err(ChainError::Format)
    }
}

/// The root that is trusted, and the certificates that were found in their places under it already.
pub(crate) struct TrustedRoot<'c> {
    der: &'c [u8],
    certificates: Certificates<'c>,
    verified: Vec<(Role, Rc<Certificate<'c>>)>,
}

impl<'c> TrustedRoot<'c> {
    /// The root is read when something is to be verified under it.
    pub(crate) const fn new(der: &'c [u8], certificates: Certificates<'c>) -> Self {
        Self {
            der,
            certificates,
            verified: Vec::new(),
        }
    }

    pub(crate) const fn der(&self) -> &'c [u8] {
        self.der
    }

    pub(crate) fn certificate(&mut self) -> Result<Rc<Certificate<'c>>, ChainError> {
        let role = Role::Root;
        self.in_place(role, self.der, None).map_err(at(role))
    }

    /// The first certificate of a chain of two: the signer of TCB info and QE identity, or a PCK
    /// authority, under the root.
    pub(crate) fn issued(
        &mut self,
        role: Role,
        chain: &'c UnverifiedChain<2>,
    ) -> Result<Rc<Certificate<'c>>, ChainError> {
        let [certificate, root] = &chain.0;
        self.is(root)?;
        let root = self.certificate()?;
        self.in_place(role, certificate, Some(&root))
            .map_err(at(role))
    }

    /// Walks PCK certificate, PCK authority, root. Gives the first two.
    pub(crate) fn platform(
        &mut self,
        chain: &'c UnverifiedChain<3>,
    ) -> Result<[Rc<Certificate<'c>>; 2], ChainError> {
        let [pck, authority, root] = &chain.0;
        self.is(root)?;
        let root = self.certificate()?;
        let role = Role::PckAuthority;
        let authority = self.in_place(role, authority, Some(&root));
        let authority = authority.map_err(at(role))?;
        let role = Role::Pck;
        let leaf = self.in_place(role, pck, Some(&authority));
        Ok([leaf.map_err(at(role))?, authority])
    }

    /// The root in a chain is the trusted one, or the chain is another's.
    fn is(&self, root: &[u8]) -> Result<(), ChainError> {
        match root == self.der {
            true => Ok(()),
            false => Err(ChainError::OtherRoot),
        }
    }

    /// A certificate that can stand in its place and is signed by its issuer, the root's excepted. The
    /// signer of TCB info is that of QE identity, and the authority of the PCK revocation list that of
    /// the PCK certificate, so each is verified once.
    fn in_place(
        &mut self,
        role: Role,
        der: &'c [u8],
        issuer: Option<&Certificate<'c>>,
    ) -> Result<Rc<Certificate<'c>>, CertificateError> {
        let mut verified = self.verified.iter();
        if let Some((_, known)) = verified.find(|(of, known)| *of == role && known.der == der) {
            return Ok(Rc::clone(known));
        }
        let certificate = self.certificates.read(der);
        let certificate = certificate.map_err(CertificateError::Format)?;
        can_be(role, &certificate)?;
        if let Some(issuer) = issuer {
            let signed = certificate.verify_issued_by(issuer);
            signed.map_err(CertificateError::Signature)?;
        }
        self.verified.push((role, Rc::clone(&certificate)));
        Ok(certificate)
    }
}

fn at(role: Role) -> impl Fn(CertificateError) -> ChainError {
    move |error| ChainError::Certificate { role, error }
}

/// Everything about a certificate that has to hold in its place and does not need another one.
fn can_be(role: Role, certificate: &Certificate<'_>) -> Result<(), CertificateError> {
    if !has_known_extensions(certificate) {
        return Err(CertificateError::Extensions);
    }
    let name = common_name(certificate.subject).ok_or(CertificateError::Name)?;
    if !role.names().iter().any(|part| name.contains(part)) {
        return Err(CertificateError::Name);
    }
    if !authority(role, certificate) {
        return Err(CertificateError::Authority);
    }
    match certificate.p256_key() {
        Some(_) => Ok(()),
        None => Err(CertificateError::Key),
    }
}

/// RFC 5280 §4.2: no extension twice, and none critical that is not processed here.
fn has_known_extensions(certificate: &Certificate<'_>) -> bool {
    let processed = [BASIC_CONSTRAINTS, KEY_USAGE];
    let mut seen = Vec::with_capacity(certificate.extensions.len());
    certificate.extensions.iter().all(|it| {
        let first = !seen.contains(&it.oid);
        seen.push(it.oid);
        first && (!it.critical || processed.contains(&it.oid))
    })
}

/// RFC 5280 §4.2.1.3 and §4.2.1.9: who signs certificates and lists says so, and no other does.
fn authority(role: Role, certificate: &Certificate<'_>) -> bool {
    let usage = certificate.extension(KEY_USAGE).and_then(key_usage);
    let constraints = certificate.extension(BASIC_CONSTRAINTS);
    let constraints = constraints.and_then(basic_constraints);
    let (Some(usage), Some(constraints)) = (usage, constraints) else {
        return false;
    };
    match (role.authorities_below(), constraints) {
        (Some(below), Constraints::Authority(length)) => {
            let signs = usage & (KEY_CERT_SIGN | CRL_SIGN) == KEY_CERT_SIGN | CRL_SIGN;
            signs && length.is_none_or(|length| length >= below)
        }
        (None, Constraints::None) => {
            usage & (DIGITAL_SIGNATURE | KEY_CERT_SIGN) == DIGITAL_SIGNATURE
        }
        _ => false,
    }
}

#[derive(Clone, Copy)]
enum Constraints {
    /// Not an authority.
    None,
    /// An authority, with how many authorities may follow below it at most.
    Authority(Option<u8>),
}

/// In the one spelling that DER has for each.
const fn basic_constraints(value: &[u8]) -> Option<Constraints> {
    match *value {
        [0x30, 0x00] => Some(Constraints::None),
        [0x30, 0x03, 0x01, 0x01, 0xFF] => Some(Constraints::Authority(None)),
        [0x30, 0x06, 0x01, 0x01, 0xFF, 0x02, 0x01, length @ 0..=0x7F] => {
            Some(Constraints::Authority(Some(length)))
        }
        _ => None,
    }
}

const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_CERT_SIGN: u8 = 0x04;
const CRL_SIGN: u8 = 0x02;

/// The first eight bits of a BIT STRING that has no more.
const fn key_usage(value: &[u8]) -> Option<u8> {
    match *value {
        [0x03, 0x02, unused @ 0..=7, bits] if bits & ((1 << unused) - 1) == 0 => Some(bits),
        _ => None,
    }
}
