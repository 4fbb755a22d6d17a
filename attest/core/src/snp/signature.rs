//! The signature on a report: ECDSA P-384 with SHA-384 over its first 0x2A0 bytes. r and s stand at
//! 0x2A0 as little-endian numbers of 72 bytes each, of which a P-384 number fills 48; the rest of
//! the 512 bytes is reserved as zero (AMD publication 56860, "Signature").

use ring::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};

use super::{SnpReport, VerifiedVek};

const NUMBER_LEN: usize = 72;
const SCALAR_LEN: usize = 48;

/// Why a report's signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportSignatureError {
    /// r or s does not fit P-384, or reserved bytes are not zero: a second spelling of some
    /// signature at best.
    #[error("the signature field is not canonical")]
    Encoding,
    /// Not signed by this endorsement key.
    #[error("the report's signature does not verify under the endorsement key")]
    Signature,
}

/// Checks that `vek` signed `report`.
pub fn verify_signature(report: &SnpReport, vek: &VerifiedVek) -> Result<(), ReportSignatureError> {
    let fixed = big_endian_pair(report.signature_field())?;
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &vek.claims().public_key)
        .verify(report.signed_bytes(), &fixed)
        .map_err(|_| ReportSignatureError::Signature)
}

fn big_endian_pair(field: &[u8; 512]) -> Result<[u8; 2 * SCALAR_LEN], ReportSignatureError> {
    let (r, rest) = field.split_at(NUMBER_LEN);
    let (s, reserved) = rest.split_at(NUMBER_LEN);
    let high = r
        .iter()
        .skip(SCALAR_LEN)
        .chain(s.iter().skip(SCALAR_LEN))
        .chain(reserved);
    if high.into_iter().any(|byte| *byte != 0) {
        return Err(ReportSignatureError::Encoding);
    }
    let mut fixed = [0; 2 * SCALAR_LEN];
    let numbers = r
        .iter()
        .take(SCALAR_LEN)
        .rev()
        .chain(s.iter().take(SCALAR_LEN).rev());
    for (to, from) in fixed.iter_mut().zip(numbers) {
        *to = *from;
    }
    Ok(fixed)
}
