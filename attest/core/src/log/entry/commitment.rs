//! Commitments: a name that can be checked by the holder of its salt, and read by no other.

use crate::digest::{Sha256Digest, sha256};

const PREFIX: &[u8] = b"sealgate/log-subject/v1\0";

/// What keeps a commitment from being opened by guessing: 32 secret bytes, others for each entry of the audit log and
/// for each name in a retention policy. Without it the name behind the commitment can be neither read nor tested.
pub type Salt = [u8; 32];

/// A commitment to a text such as `key 3f9a… of tenant acme`:
/// SHA-256(`"sealgate/log-subject/v1"` || 0x00 || salt || text).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commitment(Sha256Digest);

impl Commitment {
    /// Commits to `text`.
    ///
    /// ```
    /// use attest_core::log::Commitment;
    /// let commitment = Commitment::to("tenant acme", &[7; 32]);
    /// assert!(commitment.opens_to("tenant acme", &[7; 32]));
    /// assert!(!commitment.opens_to("tenant acme", &[8; 32]));
    /// ```
    pub fn to(text: &str, salt: &Salt) -> Self {
        let mut input = PREFIX.to_vec();
        input.extend_from_slice(salt);
        input.extend_from_slice(text.as_bytes());
        Self(Sha256Digest::from_bytes(sha256(&input)))
    }

    /// Whether it was made to this text with this salt.
    pub fn opens_to(&self, text: &str, salt: &Salt) -> bool {
        Self::to(text, salt) == *self
    }

    /// The digest that stands in the entry.
    pub fn digest(&self) -> Sha256Digest {
        self.0
    }

    pub(crate) fn from_digest(digest: Sha256Digest) -> Self {
        Self(digest)
    }
}
