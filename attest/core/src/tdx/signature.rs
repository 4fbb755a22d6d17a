//! Signatures that are not a certificate's: `r || s` on P-256 over SHA-256, as Intel writes them in
//! quotes and beside its JSON.

use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use crate::x509::StrictCertificate as Certificate;

/// An uncompressed point on P-256.
pub(crate) type PublicKey = [u8; 65];

/// The key of a certificate.
pub(super) fn key_of(certificate: &Certificate<'_>) -> Option<PublicKey> {
    certificate.p256_key().copied()
}

/// The key that a quote carries as its two coordinates.
pub(super) fn key_from_coordinates(coordinates: &[u8; 64]) -> PublicKey {
    let mut key = [0x04; 65];
    for (to, from) in key.iter_mut().skip(1).zip(coordinates) {
        *to = *from;
    }
    key
}

pub(super) fn holds(key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
        .verify(message, signature)
        .is_ok()
}
