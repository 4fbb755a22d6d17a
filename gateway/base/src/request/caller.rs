//! Who asks.

use std::sync::Arc;

use crate::request::Name;

/// Whose request it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// The public part of the API key.
    pub key_id: Arc<str>,
    pub tenant: Name,
    /// SHA-256 of the whole API key: what receipts are bound to.
    pub key_digest: [u8; 32],
}
