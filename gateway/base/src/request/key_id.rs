//! The public part of an API key.

use std::fmt;

use attest_core::encoding;

/// The public part of an API key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KeyId([u8; 6]);

impl KeyId {
    pub fn parse(text: &str) -> Option<Self> {
        encoding::parse_hex(text).ok().map(Self)
    }

    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    pub const fn to_bytes(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encoding::to_hex(&self.0))
    }
}
