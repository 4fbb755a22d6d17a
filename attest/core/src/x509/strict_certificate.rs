//! A certificate of which every element is what RFC 5280 writes there, read with nothing else than the
//! checks of that.

use super::X509Error;
use super::certificate::MAX_CERTIFICATE_LEN;
use super::crl::without_leading_zeros;
use super::der::{BIT_STRING, INTEGER, SEQUENCE, only, take};
use super::signed::{IssuerKey, SignedObject, SignedObjectError};
use super::strict::{self, Extension};
use crate::time::UnixTime;

const VERSION: u8 = 0xA0;
const EXTENSIONS: u8 = 0xA3;
/// id-ecPublicKey on prime256v1.
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48,
    0xCE, 0x3D, 0x03, 0x01, 0x07,
];

/// A certificate of version 3 without unique ids, read.
pub(crate) struct StrictCertificate<'a> {
    /// All of it.
    pub(crate) der: &'a [u8],
    pub(crate) raw_serial: &'a [u8],
    pub(crate) issuer: &'a [u8],
    pub(crate) subject: &'a [u8],
    /// First and last second of validity.
    pub(crate) validity: (UnixTime, UnixTime),
    /// No two have one identifier.
    pub(crate) extensions: Vec<Extension<'a>>,
    public_key: PublicKey<'a>,
    signed: SignedObject<'a>,
}

#[derive(Clone, Copy)]
struct PublicKey<'a> {
    whole: &'a [u8],
    algorithm: &'a [u8],
    bits: &'a [u8],
}

impl<'a> StrictCertificate<'a> {
    /// Reads exactly one certificate.
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, X509Error> {
        if der.len() > MAX_CERTIFICATE_LEN {
            return Err(X509Error::TooLong);
        }
        let signed = SignedObject::split(der).map_err(|_| X509Error::NotDer)?;
        Self::elements(der, signed).ok_or(X509Error::NotStrict)
    }

    fn elements(der: &'a [u8], signed: SignedObject<'a>) -> Option<Self> {
        let mut rest = only(signed.tbs(), SEQUENCE)?.content;
        let version = take(&mut rest, VERSION)?;
        (only(version.content, INTEGER)?.content == [2]).then_some(())?;
        let raw_serial = strict::integer(&mut rest)?;
        // §4.1.1.2: the algorithm inside the signed part is the one outside it.
        (take(&mut rest, SEQUENCE)?.whole == signed.algorithm()).then_some(())?;
        let issuer = strict::name(&mut rest)?;
        let mut validity = take(&mut rest, SEQUENCE)?.content;
        let times = (strict::time(&mut validity)?, strict::time(&mut validity)?);
        validity.is_empty().then_some(())?;
        let subject = strict::name(&mut rest)?;
        let public_key = public_key(&mut rest)?;
        let extensions = strict::extensions(only(rest, EXTENSIONS)?.content)?;
        Some(Self {
            der,
            raw_serial,
            issuer,
            subject,
            validity: times,
            extensions,
            public_key,
            signed,
        })
    }

    /// The content of an extension, by the content of its identifier.
    pub(crate) fn extension(&self, oid: &[u8]) -> Option<&'a [u8]> {
        let found = self.extensions.iter().find(|it| it.oid == oid);
        found.map(|it| it.value)
    }

    /// The subject's key, if it is on P-256 and uncompressed.
    pub(crate) fn p256_key(&self) -> Option<&'a [u8; 65]> {
        let point: &[u8; 65] = self.public_key.bits.try_into().ok()?;
        let PublicKey { algorithm, .. } = self.public_key;
        matches!(point, [0x04, ..] if algorithm == P256).then_some(point)
    }

    /// The subject's name and public key, DER: what makes an authority one and the same.
    pub(crate) fn name_and_key(&self) -> (Vec<u8>, Vec<u8>) {
        (self.subject.to_vec(), self.public_key.whole.to_vec())
    }

    /// The serial number as lists of revoked certificates are searched for it.
    pub(crate) fn serial(&self) -> Vec<u8> {
        without_leading_zeros(self.raw_serial).to_vec()
    }

    /// Checks this certificate's signature under the key of `issuer`, and that `issuer` is whom it
    /// names.
    pub(crate) fn verify_issued_by(&self, issuer: &Self) -> Result<(), SignedObjectError> {
        issuer.verify_signed(self.issuer, &self.signed)
    }

    /// Checks that this authority signed an object that names `issuer`.
    pub(super) fn verify_signed(
        &self,
        issuer: &[u8],
        object: &SignedObject<'_>,
    ) -> Result<(), SignedObjectError> {
        if issuer != self.subject {
            return Err(SignedObjectError::Issuer);
        }
        let key = self.p256_key().ok_or(SignedObjectError::Algorithm)?;
        object.verify(IssuerKey::P256(key))
    }
}

fn public_key<'a>(rest: &mut &'a [u8]) -> Option<PublicKey<'a>> {
    let key = take(rest, SEQUENCE)?;
    let mut parts = key.content;
    let algorithm = strict::elliptic_curve(&mut parts)?;
    match only(parts, BIT_STRING)?.content {
        [0, bits @ ..] => Some(PublicKey {
            whole: key.whole,
            algorithm,
            bits,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::strict::common_name;
    use super::*;

    const ROOT: &[u8] = include_bytes!("../roots/intel-sgx-root-ca.der");
    const OTHER_VENDOR: &[u8] = include_bytes!("../roots/amd-ark-milan.der");

    #[test]
    fn reads_intels_root_as_the_lenient_reader_does() {
        let strict = StrictCertificate::parse(ROOT).ok().unwrap();
        let lenient = super::super::Certificate::parse(ROOT).ok().unwrap();
        assert_eq!(strict.der, ROOT);
        assert_eq!(strict.raw_serial, lenient.x509.raw_serial());
        assert_eq!(strict.issuer, lenient.x509.issuer().as_raw());
        assert_eq!(strict.subject, lenient.x509.subject().as_raw());
        assert_eq!(strict.validity, lenient.validity());
        let IssuerKey::P256(point) = lenient.key().unwrap() else {
            panic!("a key on P-256");
        };
        assert_eq!(strict.p256_key().map(|key| &key[..]), Some(point));
        assert_eq!(common_name(strict.subject), lenient.common_name());
        let of_lenient = lenient.x509.extensions().iter();
        let of_lenient: Vec<_> = of_lenient
            .map(|it| (it.oid.as_bytes(), it.critical, it.value))
            .collect();
        let of_strict = strict.extensions.iter();
        let of_strict: Vec<_> = of_strict
            .map(|it| (it.oid, it.critical, it.value))
            .collect();
        assert_eq!(of_strict, of_lenient);
        assert_eq!(strict.verify_issued_by(&strict), Ok(()));
    }

    #[test]
    fn a_truncated_certificate_and_one_with_a_byte_behind_it_are_refused() {
        for len in 0..ROOT.len() {
            assert!(StrictCertificate::parse(&ROOT[..len]).is_err(), "{len}");
        }
        let longer = [ROOT, &[0]].concat();
        assert_eq!(
            StrictCertificate::parse(&longer).err(),
            Some(X509Error::NotDer)
        );
    }

    #[test]
    fn another_kind_of_key_is_not_read() {
        let error = StrictCertificate::parse(OTHER_VENDOR).err();
        assert_eq!(error, Some(X509Error::NotStrict));
    }

    #[test]
    fn a_changed_byte_is_refused_or_not_signed() {
        let trusted = StrictCertificate::parse(ROOT).ok().unwrap();
        for at in 0..ROOT.len() {
            let mut changed = ROOT.to_vec();
            changed[at] ^= 1;
            if let Ok(read) = StrictCertificate::parse(&changed) {
                assert!(read.verify_issued_by(&trusted).is_err(), "{at}");
            }
        }
    }
}
