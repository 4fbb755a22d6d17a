//! Our published profile of ACI/1, `sealgate/1` (`docs/profile.md`).
//!
//! ACI leaves the keyset's `subject`, the report's `evidence` and extra members to the deployment. The
//! profile says what we put there: contract digests ([`Subject`]), a signature over the whole report
//! ([`report_message`]), and a nonce that ties GPU evidence to the same challenge ([`gpu_nonce`]).

mod subject;

pub use subject::{Subject, SubjectError};

use crate::digest::{Nonce, Sha256Digest, sha256};

/// The profile's name, as `attestation.evidence.profile` carries it.
pub const PROFILE_ID: &str = "sealgate/1";

/// What every signed report message begins with. Receipts are signed by the same keys; their signed
/// bytes begin with `{`, so neither can be taken for the other.
pub const REPORT_PREFIX: &[u8] = b"sealgate/report/v1\0";

const GPU_NONCE_PREFIX: &[u8] = b"sealgate/gpu-nonce/v1";

/// The nonce with which GPU evidence is requested:
/// `SHA-256("sealgate/gpu-nonce/v1" || nonce || keyset_digest)`, 21 + 32 + 32 bytes.
///
/// GPU evidence bearing it was made for this challenge and this keyset. That the GPU serves this very
/// machine follows only together with the signed report that carries the evidence.
///
/// ```
/// use attest_core::{Nonce, Sha256Digest, gpu_nonce};
/// let keyset = Sha256Digest::hash(b"keyset");
/// assert_ne!(
///     gpu_nonce(&Nonce::from_bytes([1; 32]), &keyset),
///     gpu_nonce(&Nonce::from_bytes([2; 32]), &keyset),
/// );
/// ```
pub fn gpu_nonce(nonce: &Nonce, keyset_digest: &Sha256Digest) -> [u8; 32] {
    let mut message = GPU_NONCE_PREFIX.to_vec();
    message.extend_from_slice(nonce.as_bytes());
    message.extend_from_slice(keyset_digest.as_bytes());
    sha256(&message)
}

/// The bytes that a report's signature is over: [`REPORT_PREFIX`], then the canonical form of the
/// report without its `key_id` and `signature`.
pub fn report_message(unsigned_report_jcs: &[u8]) -> Vec<u8> {
    [REPORT_PREFIX, unsigned_report_jcs].concat()
}
