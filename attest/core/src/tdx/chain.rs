//! Intel's certificate chains: from a leaf to the root that is trusted.
//!
//! Intel SGX PCK Certificate and CRL Profile Specification 1.5. Two shapes exist, and each is walked
//! link by link: PCK certificate, PCK authority, root; and signer of TCB info and QE identity, root.
//! A chain has exactly those certificates in that order, and its last one is the root itself, byte for
//! byte, so that no certificate in a chain is there without a meaning. Checked here is what stays
//! true; whether a certificate is valid at a time and whether it was revoked is checked at every use.

use std::cell::RefCell;

use x509_parser::oid_registry::{OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_KEY_USAGE};

use super::pck_extension::PckExtensionError;
use crate::time::UnixTime;
use crate::x509::{Certificate, IssuerKey, PemError, SignedObjectError, X509Error, pem};

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
    /// It has elements that RFC 5280 does not write there.
    #[error("it is not written as RFC 5280 has it")]
    NotStrict,
    /// Not X.509 version 3, or an extension twice, or a critical one that is not known.
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

/// The certificates of one chain as they came, leaf first. Nothing about them is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// First and last second of each certificate.
    pub(crate) fn dates(&self) -> Result<Vec<(UnixTime, UnixTime)>, ChainError> {
        let dates = |der: &Vec<u8>| Certificate::parse(der).map(|it| it.validity());
        let dates: Result<_, _> = self.0.iter().map(dates).collect();
        dates.map_err(ChainError::Format)
    }
}

/// The root that is trusted, and the certificates that were found to be issued by it already.
pub(crate) struct TrustedRoot<'r> {
    der: &'r [u8],
    root: Certificate<'r>,
    issued: RefCell<Vec<Vec<u8>>>,
}

impl<'r> TrustedRoot<'r> {
    pub(crate) fn parse(der: &'r [u8]) -> Result<Self, ChainError> {
        let role = Role::Root;
        let root = read(role, der).map_err(|error| ChainError::Certificate { role, error })?;
        Ok(Self {
            der,
            root,
            issued: RefCell::default(),
        })
    }

    pub(crate) const fn der(&self) -> &'r [u8] {
        self.der
    }

    pub(crate) const fn certificate(&self) -> &Certificate<'r> {
        &self.root
    }

    /// Reads a certificate that the root has issued. The signer of TCB info is that of QE identity,
    /// and the authority of the PCK revocation list that of the PCK certificate, so each is checked
    /// once.
    fn issued<'c>(&self, role: Role, der: &'c [u8]) -> Result<Certificate<'c>, CertificateError> {
        let certificate = read(role, der)?;
        let mut issued = self.issued.borrow_mut();
        if !issued.iter().any(|known| known == der) {
            let signed = certificate.verify_issued_by(&self.root);
            signed.map_err(CertificateError::Signature)?;
            issued.push(der.to_vec());
        }
        Ok(certificate)
    }
}

/// Certificates each of which is signed by the next, up to the trusted root.
pub(crate) struct Chain<'a> {
    leaf: Certificate<'a>,
    /// Between leaf and root.
    authority: Certificate<'a>,
}

impl<'a> Chain<'a> {
    /// Walks PCK certificate, PCK authority, root.
    pub(crate) fn verify_platform(
        chain: &'a UnverifiedChain<3>,
        trusted: &TrustedRoot<'_>,
    ) -> Result<Self, ChainError> {
        let [pck, authority, root] = &chain.0;
        is_trusted(root, trusted)?;
        let role = Role::PckAuthority;
        let authority = trusted.issued(role, authority).map_err(at(role))?;
        let role = Role::Pck;
        let leaf = read(role, pck).map_err(at(role))?;
        let signed = leaf.verify_issued_by(&authority);
        signed
            .map_err(CertificateError::Signature)
            .map_err(at(role))?;
        Ok(Self { leaf, authority })
    }

    /// What everything that is said of the platform is read from.
    pub(crate) const fn leaf(&self) -> &Certificate<'a> {
        &self.leaf
    }

    /// Who issued it.
    pub(crate) const fn authority(&self) -> &Certificate<'a> {
        &self.authority
    }
}

/// The first certificate of a chain of two: the signer of TCB info and QE identity, or a PCK
/// authority, under the root.
pub(crate) fn issued_by_root<'c>(
    role: Role,
    chain: &'c UnverifiedChain<2>,
    trusted: &TrustedRoot<'_>,
) -> Result<Certificate<'c>, ChainError> {
    let [certificate, root] = &chain.0;
    is_trusted(root, trusted)?;
    trusted.issued(role, certificate).map_err(at(role))
}

fn at(role: Role) -> impl Fn(CertificateError) -> ChainError {
    move |error| ChainError::Certificate { role, error }
}

/// The root in a chain is the trusted one, or the chain is another's.
fn is_trusted(root: &[u8], trusted: &TrustedRoot<'_>) -> Result<(), ChainError> {
    match root == trusted.der {
        true => Ok(()),
        false => Err(ChainError::OtherRoot),
    }
}

/// Reads a certificate and checks everything about it that does not need another one.
fn read(role: Role, der: &[u8]) -> Result<Certificate<'_>, CertificateError> {
    let certificate = Certificate::parse(der).map_err(CertificateError::Format)?;
    if !certificate.is_strict() {
        return Err(CertificateError::NotStrict);
    }
    extensions(&certificate)?;
    let name = certificate.common_name().ok_or(CertificateError::Name)?;
    if !role.names().iter().any(|part| name.contains(part)) {
        return Err(CertificateError::Name);
    }
    if !authority(role, &certificate) {
        return Err(CertificateError::Authority);
    }
    match certificate.key() {
        Some(IssuerKey::P256(_)) => Ok(certificate),
        _ => Err(CertificateError::Key),
    }
}

/// RFC 5280 §4.2: no extension twice, and none critical that is not processed here.
fn extensions(certificate: &Certificate<'_>) -> Result<(), CertificateError> {
    let processed = [OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_KEY_USAGE];
    let x509 = &certificate.x509;
    let known = |oid| processed.iter().any(|it| it == oid);
    let all_known = x509
        .extensions()
        .iter()
        .all(|it| !it.critical || known(&it.oid));
    if x509.version.0 == 2 && all_known && x509.extensions_map().is_ok() {
        Ok(())
    } else {
        Err(CertificateError::Extensions)
    }
}

/// RFC 5280 §4.2.1.3 and §4.2.1.9: who signs certificates and lists says so, and no other does.
fn authority(role: Role, certificate: &Certificate<'_>) -> bool {
    let value = |oid| {
        let mut extensions = certificate.x509.extensions().iter();
        extensions.find(|it| it.oid == oid).map(|it| it.value)
    };
    let usage = value(OID_X509_EXT_KEY_USAGE).and_then(key_usage);
    let constraints = value(OID_X509_EXT_BASIC_CONSTRAINTS).and_then(basic_constraints);
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
