//! Certificate revocation lists (RFC 5280 §5), complete ones of one issuer.

use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::certificate::{Certificate, unix};
use super::der;
use super::signed::{SignedObject, SignedObjectError};
use super::strict;
use crate::time::UnixTime;

/// Intel's longest is near 100 KiB.
pub(crate) const MAX_CRL_LEN: usize = 512 << 10;

const CRL_NUMBER: &str = "2.5.29.20";
const AUTHORITY_KEY_ID: &str = "2.5.29.35";

/// Why bytes are not a revocation list that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationListError {
    /// Not one DER revocation list of version 2, or too long.
    #[error("not a DER revocation list")]
    NotDer,
    /// It does not say until when it holds.
    #[error("it has no nextUpdate")]
    NoNextUpdate,
    /// It has no CRL number or authority key id, one twice, or a critical extension, which would
    /// say that it is not a complete list of its issuer.
    #[error("its extensions are not those of a complete list")]
    Extensions,
}

/// A revocation list, read. Nothing about it is verified.
pub(crate) struct RevocationList<'a> {
    /// The issuer's name, DER.
    pub(crate) issuer: &'a [u8],
    pub(crate) this_update: UnixTime,
    pub(crate) next_update: UnixTime,
    /// Serial numbers, big-endian without leading zeros.
    pub(crate) revoked: Vec<Vec<u8>>,
    signed: SignedObject<'a>,
}

impl<'a> RevocationList<'a> {
    /// Reads exactly one list.
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, RevocationListError> {
        if der.len() > MAX_CRL_LEN {
            return Err(RevocationListError::NotDer);
        }
        let signed = SignedObject::split(der).map_err(|_| RevocationListError::NotDer)?;
        let (rest, list) =
            CertificateRevocationList::from_der(der).map_err(|_| RevocationListError::NotDer)?;
        let tbs = list.tbs_cert_list;
        let is_version_2 = tbs.version.is_some_and(|version| version.0 == 1);
        // The algorithm inside the signed part is the one outside it (§5.1.1.2), and what is signed
        // is what is read.
        let is_one = rest.is_empty()
            && tbs.signature == list.signature_algorithm
            && tbs.as_ref() == signed.tbs()
            && strict::is_list(signed.tbs(), signed.algorithm());
        if !is_version_2 || !is_one {
            return Err(RevocationListError::NotDer);
        }
        let next_update = tbs.next_update.ok_or(RevocationListError::NoNextUpdate)?;
        let extensions: Vec<_> = tbs.extensions().iter().collect();
        let count = |oid: &str| {
            let same = extensions.iter().filter(|it| it.oid.to_id_string() == oid);
            same.count()
        };
        let number = extensions
            .iter()
            .find(|it| it.oid.to_id_string() == CRL_NUMBER);
        let number = number.and_then(|it| der::only(it.value, der::INTEGER));
        // Not negative, and of at most twenty bytes (§5.2.3).
        let is_number = number
            .and_then(|number| Some((*number.content.first()?, number.content.len())))
            .is_some_and(|(first, len)| first < 0x80 && len <= 20);
        let complete = is_number
            && count(CRL_NUMBER) == 1
            && count(AUTHORITY_KEY_ID) == 1
            && extensions.iter().all(|it| !it.critical);
        let entries_are_plain = tbs
            .revoked_certificates
            .iter()
            .all(|entry| entry.extensions().iter().all(|it| !it.critical));
        if !complete || !entries_are_plain {
            return Err(RevocationListError::Extensions);
        }
        Ok(Self {
            this_update: unix(tbs.this_update.timestamp()),
            next_update: unix(next_update.timestamp()),
            revoked: tbs
                .revoked_certificates
                .iter()
                .map(|entry| without_leading_zeros(entry.raw_serial()).to_vec())
                .collect(),
            issuer: tbs.issuer.as_raw(),
            signed,
        })
    }

    /// Checks the list's signature under the key of `issuer`, and that `issuer` is whom it names.
    pub(crate) fn verify_issued_by(
        &self,
        issuer: &Certificate<'_>,
    ) -> Result<(), SignedObjectError> {
        if self.issuer != issuer.x509.subject().as_raw() {
            return Err(SignedObjectError::Issuer);
        }
        self.signed
            .verify(issuer.key().ok_or(SignedObjectError::Algorithm)?)
    }
}

/// The one spelling of a serial number that is compared.
pub(crate) fn without_leading_zeros(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    serial.get(zeros..).unwrap_or_default()
}
