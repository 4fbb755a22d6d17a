//! Signed X.509 objects: `SEQUENCE { tbs, algorithm, BIT STRING }`, under one of the three algorithms
//! that the vendors sign with.
//!
//! ECDSA P-256 with SHA-256 (Intel; RFC 5758), RSASSA-PSS with SHA-384 (AMD; RFC 4055) and ECDSA P-384
//! with SHA-384 (AMD and NVIDIA; RFC 5758). AMD spells out the
//! PSS trailer field that DER leaves at its default, which stock verifiers refuse. Exactly the
//! spellings below are accepted and nothing near them.

use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, RSA_PSS_2048_8192_SHA384, UnparsedPublicKey,
    VerificationAlgorithm,
};

use super::der::{BIT_STRING, SEQUENCE, element};

/// RSASSA-PSS, SHA-384, MGF1 with SHA-384, salt of 48 bytes; the trailer field at its default.
const PSS_SHA384: &[u8] = &[
    0x30, 0x41, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0A, 0x30, 0x34, 0xA0,
    0x0F, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00,
    0xA1, 0x1C, 0x30, 0x1A, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x08, 0x30,
    0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xA2, 0x03,
    0x02, 0x01, 0x30,
];
/// The same with `[3] INTEGER 1` written out, as AMD's authorities write it.
const PSS_SHA384_TRAILER: &[u8] = &[
    0x30, 0x46, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0A, 0x30, 0x39, 0xA0,
    0x0F, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00,
    0xA1, 0x1C, 0x30, 0x1A, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x08, 0x30,
    0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xA2, 0x03,
    0x02, 0x01, 0x30, 0xA3, 0x03, 0x02, 0x01, 0x01,
];

/// ecdsa-with-SHA256.
const ECDSA_SHA256: &[u8] = &[
    0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02,
];

/// ecdsa-with-SHA384.
const ECDSA_SHA384: &[u8] = &[
    0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03,
];

/// Why a signed object's signature was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedObjectError {
    /// Not the three-part structure, or bytes after it.
    #[error("not a signed DER object")]
    Malformed,
    /// Signed with another algorithm than the issuer's key is for.
    #[error("not signed with the algorithm of the issuer's key")]
    Algorithm,
    /// Issued by another authority than the certificate it is checked against.
    #[error("issued under another name")]
    Issuer,
    /// The signature does not verify under the issuer's key.
    #[error("the signature does not verify")]
    Signature,
}

/// A key that signs certificates and lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IssuerKey<'a> {
    /// RSA, as DER `RSAPublicKey`.
    Rsa(&'a [u8]),
    /// An uncompressed point on P-256.
    P256(&'a [u8]),
    /// An uncompressed point on P-384.
    P384(&'a [u8]),
}

/// The three parts of a signed object, as slices of its DER.
#[derive(Clone, Copy)]
pub(crate) struct SignedObject<'a> {
    tbs: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> SignedObject<'a> {
    /// Parses exactly one signed object.
    pub(crate) fn split(der: &'a [u8]) -> Result<Self, SignedObjectError> {
        let (outer, rest) = element(der).ok_or(SignedObjectError::Malformed)?;
        if outer.tag != SEQUENCE || !rest.is_empty() {
            return Err(SignedObjectError::Malformed);
        }
        let (tbs, rest) = element(outer.content).ok_or(SignedObjectError::Malformed)?;
        let (algorithm, rest) = element(rest).ok_or(SignedObjectError::Malformed)?;
        let (signature, rest) = element(rest).ok_or(SignedObjectError::Malformed)?;
        match (tbs.tag, signature.tag, signature.content, rest) {
            (SEQUENCE, BIT_STRING, [0, bits @ ..], []) => Ok(Self {
                tbs: tbs.whole,
                algorithm: algorithm.whole,
                signature: bits,
            }),
            _ => Err(SignedObjectError::Malformed),
        }
    }

    /// The part that is signed.
    pub(crate) const fn tbs(&self) -> &'a [u8] {
        self.tbs
    }

    /// The algorithm it is signed with, DER.
    pub(crate) const fn algorithm(&self) -> &'a [u8] {
        self.algorithm
    }

    /// Checks the signature under `issuer`'s key, which decides the algorithm.
    pub(crate) fn verify(&self, issuer: IssuerKey<'_>) -> Result<(), SignedObjectError> {
        let (spellings, algorithm, key): (&[&[u8]], &'static dyn VerificationAlgorithm, _) =
            match issuer {
                IssuerKey::Rsa(key) => (
                    &[PSS_SHA384, PSS_SHA384_TRAILER],
                    &RSA_PSS_2048_8192_SHA384,
                    key,
                ),
                IssuerKey::P256(point) => (&[ECDSA_SHA256], &ECDSA_P256_SHA256_ASN1, point),
                IssuerKey::P384(point) => (&[ECDSA_SHA384], &ECDSA_P384_SHA384_ASN1, point),
            };
        if !spellings.contains(&self.algorithm) {
            return Err(SignedObjectError::Algorithm);
        }
        UnparsedPublicKey::new(algorithm, key)
            .verify(self.tbs, self.signature)
            .map_err(|_| SignedObjectError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prefix_and_no_extension_of_an_object_is_an_object() {
        let object = [0x30, 0x08, 0x30, 0x00, 0x30, 0x00, 0x03, 0x02, 0x00, 0xAA];
        assert!(SignedObject::split(&object).is_ok());
        for len in 0..object.len() {
            assert!(matches!(
                SignedObject::split(&object[..len]),
                Err(SignedObjectError::Malformed)
            ));
        }
        let mut longer = object.to_vec();
        longer.push(0);
        assert!(matches!(
            SignedObject::split(&longer),
            Err(SignedObjectError::Malformed)
        ));
    }

    #[test]
    fn another_algorithm_is_not_even_tried() {
        let object = [0x30, 0x08, 0x30, 0x00, 0x30, 0x00, 0x03, 0x02, 0x00, 0xAA];
        let split = SignedObject::split(&object).ok().unwrap();
        for key in [
            IssuerKey::Rsa(&[]),
            IssuerKey::P256(&[]),
            IssuerKey::P384(&[]),
        ] {
            assert_eq!(split.verify(key), Err(SignedObjectError::Algorithm));
        }
    }
}
