//! SHA-384, which all registers use, and SHA-256, which QEMU hashes kernels with.

use ring::digest::{Context, SHA256, SHA384};

/// A SHA-384 digest or the value of a register.
pub type Sha384 = [u8; 48];

/// SHA-384 of the parts, one after another.
///
/// ```
/// assert_eq!(attest_measure::sha384(&[b"a", b"bc"]), attest_measure::sha384(&[b"abc"]));
/// ```
pub fn sha384(parts: &[&[u8]]) -> Sha384 {
    let mut hasher = Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// SHA-384 of data in pieces.
pub(crate) struct Hasher(Context);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA384))
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> Sha384 {
        let digest = self.0.finish();
        let bytes = digest.as_ref().try_into();
        bytes.expect("SHA-384 has 48 bytes of output")
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&SHA256, bytes);
    let bytes = digest.as_ref().try_into();
    bytes.expect("SHA-256 has 32 bytes of output")
}
