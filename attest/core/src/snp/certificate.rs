//! Certificates of the AMD hierarchy: root key (ARK), signing keys (ASK, ASVK) and the endorsement
//! key (VCEK or VLEK) whose extensions say which chip, which TCB and which product it is for.
//!
//! "Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification" (AMD
//! publication 57230), section 3. Reading a certificate here proves nothing;
//! [`super::verify_chain`] does.

use x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::signed::{SignedObject, SignedObjectError};
use crate::time::UnixTime;

/// AMD's certificates are well below this.
pub const MAX_CERTIFICATE_LEN: usize = 8 << 10;

/// Why a certificate cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFormatError {
    /// Longer than any certificate of this hierarchy.
    #[error("the certificate is too long")]
    TooLong,
    /// Not one DER certificate.
    #[error("not a DER certificate")]
    NotDer,
    /// An issuer's key that is not RSA.
    #[error("the certificate's key is not RSA")]
    NotRsa,
    /// An endorsement key that is not on P-384.
    #[error("the endorsement key is not on P-384")]
    NotP384,
    /// A subject that is neither SEV-VCEK nor SEV-VLEK.
    #[error("the certificate's subject is neither SEV-VCEK nor SEV-VLEK")]
    NotAnEndorsementKey,
    /// The product name extension is absent or names no known product.
    #[error("the certificate names no known product")]
    Product,
    /// A security version is absent, repeated, not a byte, or of a component this version does
    /// not know and not zero.
    #[error("the certificate's security versions cannot be read")]
    SecurityVersions,
    /// The hardware id is repeated, or has a length that is not this product's.
    #[error("the certificate's hardware id cannot be read")]
    HardwareId,
}

/// A certificate with the pieces its signature is checked with.
pub(super) struct Certificate<'a> {
    pub(super) x509: X509Certificate<'a>,
    signed: SignedObject<'a>,
}

impl<'a> Certificate<'a> {
    /// Reads exactly one certificate.
    pub(super) fn parse(der: &'a [u8]) -> Result<Self, CertificateFormatError> {
        if der.len() > MAX_CERTIFICATE_LEN {
            return Err(CertificateFormatError::TooLong);
        }
        let signed = SignedObject::split(der).map_err(|_| CertificateFormatError::NotDer)?;
        match X509Certificate::from_der(der) {
            // RFC 5280 §4.1.1.2: the algorithm inside the signed part is the one outside it.
            Ok(([], x509)) if x509.tbs_certificate.signature == x509.signature_algorithm => {
                Ok(Self { x509, signed })
            }
            _ => Err(CertificateFormatError::NotDer),
        }
    }

    /// The RSA key of a certificate that signs others, as DER `RSAPublicKey`.
    pub(super) fn rsa_key(&self) -> Result<&[u8], CertificateFormatError> {
        let key = self.x509.public_key();
        if key.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
            Ok(&key.subject_public_key.data)
        } else {
            Err(CertificateFormatError::NotRsa)
        }
    }

    /// The one common name of the subject.
    pub(super) fn common_name(&self) -> Option<&str> {
        let mut names = self.x509.subject().iter_common_name();
        let name = names.next()?.as_str().ok()?;
        names.next().is_none().then_some(name)
    }

    /// First and last second of validity.
    pub(super) fn validity(&self) -> (UnixTime, UnixTime) {
        let validity = self.x509.validity();
        (unix(validity.not_before.timestamp()), unix(validity.not_after.timestamp()))
    }

    /// Checks this certificate's signature under the key of `issuer`, and that `issuer` is whom it
    /// names.
    pub(super) fn verify_issued_by(&self, issuer: &Certificate<'_>) -> Result<(), SignedObjectError> {
        if self.x509.issuer().as_raw() != issuer.x509.subject().as_raw() {
            return Err(SignedObjectError::Issuer);
        }
        let key = issuer.rsa_key().map_err(|_| SignedObjectError::Algorithm)?;
        self.signed.verify(key)
    }
}

/// Times before 1970 count as 1970: nothing of this hierarchy is older.
pub(super) fn unix(timestamp: i64) -> UnixTime {
    UnixTime::from_secs(u64::try_from(timestamp).unwrap_or(0))
}
