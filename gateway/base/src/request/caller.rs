//! The authenticated caller of a request.

use std::sync::Arc;

use crate::request::Name;

/// The authenticated caller of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// The public part of the API key.
    pub key_id: Arc<str>,
    pub tenant: Name,
    /// SHA-256 of the whole API key: receipts are bound to it.
    pub key_digest: [u8; 32],
}
