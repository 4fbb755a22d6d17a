//! The public part of an API key.

use std::fmt;

/// The public part of an API key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KeyId([u8; 6]);

impl KeyId {
    pub fn parse(text: &str) -> Option<Self> {
        attest_core::parse_hex(text).ok().map(Self)
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
        f.write_str(&attest_core::to_hex(&self.0))
    }
}
