//! Intel's certificate chains: from a leaf to the root that is trusted.
//!
//! Intel SGX PCK Certificate and CRL Profile Specification 1.5. Two shapes exist, and each is walked
//! link by link: PCK certificate, PCK authority, root; and signer of TCB info and QE identity, root.
//! A chain has exactly those certificates in that order, and its last one is the root itself, byte for
//! byte, so that no certificate in a chain is there without a meaning. Checked here is what stays
//! true; whether a certificate is valid at a time and whether it was revoked is checked at every use.

use super::pck_extension::PckExtensionError;
use crate::encoding::to_base64;
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
    const fn authorities_below(self) -> Option<u32> {
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

    /// The same certificates in PEM.
    pub(crate) fn to_pem(&self) -> String {
        let block = |der: &Vec<u8>| {
            let base64 = to_base64(der);
            format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
        };
        self.0.iter().map(block).collect()
    }
}

/// A chain of certificates each of which is signed by the next, up to the trusted root.
pub(crate) struct Chain<'a> {
    leaf: Certificate<'a>,
}

impl<'a> Chain<'a> {
    /// Walks PCK certificate, PCK authority, root.
    pub(crate) fn of_platform(
        chain: &'a UnverifiedChain<3>,
        root: &[u8],
    ) -> Result<Self, ChainError> {
        Self::walk(&chain.0, [Role::Pck, Role::PckAuthority, Role::Root], root)
    }

    /// What everything that a chain is for is read from.
    pub(crate) fn leaf(&self) -> &Certificate<'a> {
        &self.leaf
    }

    fn walk<const N: usize>(
        ders: &'a [Vec<u8>; N],
        roles: [Role; N],
        root: &[u8],
    ) -> Result<Self, ChainError> {
        if ders.last().is_none_or(|last| last != root) {
            return Err(ChainError::OtherRoot);
        }
        let at = |role| move |error| ChainError::Certificate { role, error };
        let mut links = Vec::with_capacity(N);
        for (role, der) in roles.into_iter().zip(ders) {
            links.push((role, read(role, der).map_err(at(role))?));
        }
        // The root is trusted for its bytes; that it is signed by itself says that it is whole.
        let issuers = links.iter().skip(1).chain(links.last());
        for ((role, certificate), (_, issuer)) in links.iter().zip(issuers) {
            let signed = certificate.verify_issued_by(issuer);
            signed
                .map_err(CertificateError::Signature)
                .map_err(at(*role))?;
        }
        let leaf = links.into_iter().next().map(|(_, leaf)| leaf);
        leaf.map(|leaf| Self { leaf }).ok_or(ChainError::OtherRoot)
    }
}

/// Reads a certificate and checks everything about it that does not need another one.
fn read(role: Role, der: &[u8]) -> Result<Certificate<'_>, CertificateError> {
    let certificate = Certificate::parse(der).map_err(CertificateError::Format)?;
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
    use x509_parser::oid_registry::{OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_KEY_USAGE};
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

/// RFC 5280 §4.2.1.3 and §4.2.1.9: who signs certificates and lists says so, and nobody else does.
fn authority(role: Role, certificate: &Certificate<'_>) -> bool {
    let (Ok(constraints), Ok(usage)) = (
        certificate.x509.basic_constraints(),
        certificate.x509.key_usage(),
    ) else {
        return false;
    };
    let Some(usage) = usage else {
        return false;
    };
    match (role.authorities_below(), constraints) {
        (Some(below), Some(constraints)) => {
            let length = constraints.value.path_len_constraint;
            constraints.value.ca
                && length.is_none_or(|length| length >= below)
                && usage.value.key_cert_sign()
                && usage.value.crl_sign()
        }
        (Some(_), None) => false,
        (None, constraints) => {
            constraints.is_none_or(|it| !it.value.ca)
                && usage.value.digital_signature()
                && !usage.value.key_cert_sign()
        }
    }
}
