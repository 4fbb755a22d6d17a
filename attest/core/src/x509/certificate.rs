//! One certificate with what its signature is checked with.
//!
//! Chains here are short and their order is known, so there is no path building: each vendor's
//! module walks its own links with [`Certificate::verify_issued_by`].

use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::signed::{IssuerKey, SignedObject, SignedObjectError};
use crate::time::UnixTime;

/// The vendors' certificates are well below this.
pub(crate) const MAX_CERTIFICATE_LEN: usize = 8 << 10;

/// Why bytes are not a certificate that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum X509Error {
    /// Longer than any certificate of these hierarchies.
    #[error("the certificate is too long")]
    TooLong,
    /// Not one DER certificate.
    #[error("not a DER certificate")]
    NotDer,
    /// It has elements that RFC 5280 does not write there.
    #[error("it is not written as RFC 5280 has it")]
    NotStrict,
}

/// A certificate, read.
pub(crate) struct Certificate<'a> {
    pub(crate) x509: X509Certificate<'a>,
    signed: SignedObject<'a>,
}

impl<'a> Certificate<'a> {
    /// Reads exactly one certificate.
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, X509Error> {
        if der.len() > MAX_CERTIFICATE_LEN {
            return Err(X509Error::TooLong);
        }
        let signed = SignedObject::split(der).map_err(|_| X509Error::NotDer)?;
        match X509Certificate::from_der(der) {
            // RFC 5280 §4.1.1.2: the algorithm inside the signed part is the one outside it.
            Ok(([], x509))
                if x509.tbs_certificate.signature == x509.signature_algorithm
                    // Two readers took the certificate apart; what is signed is what is read.
                    && x509.tbs_certificate.as_ref() == signed.tbs() =>
            {
                Ok(Self { x509, signed })
            }
            _ => Err(X509Error::NotDer),
        }
    }

    /// The subject's key, if it is of a kind that signs in these hierarchies.
    pub(crate) fn key(&self) -> Option<IssuerKey<'_>> {
        let key = self.x509.public_key();
        let bits = key.subject_public_key.data.as_ref();
        if key.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
            return Some(IssuerKey::Rsa(bits));
        }
        if key.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY || bits.first() != Some(&0x04) {
            return None;
        }
        let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
        match bits.len() {
            65 if curve == OID_EC_P256 => Some(IssuerKey::P256(bits)),
            97 if curve == OID_NIST_EC_P384 => Some(IssuerKey::P384(bits)),
            _ => None,
        }
    }

    /// The one common name of the subject.
    pub(crate) fn common_name(&self) -> Option<&str> {
        let mut names = self.x509.subject().iter_common_name();
        let name = names.next()?.as_str().ok()?;
        names.next().is_none().then_some(name)
    }

    /// First and last second of validity.
    pub(crate) fn validity(&self) -> (UnixTime, UnixTime) {
        let validity = self.x509.validity();
        (
            unix(validity.not_before.timestamp()),
            unix(validity.not_after.timestamp()),
        )
    }

    /// Checks this certificate's signature under the key of `issuer`, and that `issuer` is whom it
    /// names.
    pub(crate) fn verify_issued_by(&self, issuer: &Self) -> Result<(), SignedObjectError> {
        if self.x509.issuer().as_raw() != issuer.x509.subject().as_raw() {
            return Err(SignedObjectError::Issuer);
        }
        self.signed
            .verify(issuer.key().ok_or(SignedObjectError::Algorithm)?)
    }
}

/// Times before 1970 count as 1970: nothing of these hierarchies is older.
pub(crate) fn unix(timestamp: i64) -> UnixTime {
    UnixTime::from_secs(u64::try_from(timestamp).unwrap_or(0))
}
