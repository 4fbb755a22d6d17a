//! The authenticated caller of a request, and the id of its API key.

use std::fmt;
use std::sync::Arc;

use crate::request::Name;

/// The authenticated caller of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// The public part of the API key.
    pub key_id: Arc<str>,
    pub tenant: Name,
    /// The organisation that the tenant belongs to.
    pub organisation: Option<Name>,
    /// The user or service account that the key belongs to, or that the token names.
    pub user: Option<Name>,
    /// SHA-256 of the whole API key: receipts are bound to it.
    pub key_digest: [u8; 32],
}

/// The public part of an API key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
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
