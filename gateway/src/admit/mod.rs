//! Who may ask, for what, and is it well formed.
//!
//! [`Admission::admit`] turns an HTTP request into an [`AdmittedRequest`] or an [`ApiError`](crate::http::ApiError).
//! The order matters: the credential and the caller's preconditions are checked before a byte of the body is read,
//! the limits before anything is allocated for it, and the body is judged as bytes: it is never parsed into a tree,
//! copied or printed. Behind this door nobody re-checks.

mod body;
mod constraints;
mod credential;
mod fields;
mod gate;
mod keyring;
mod preconditions;
mod prompt;
mod salt;

use std::sync::Arc;

use attest_core::{Sha256Digest, UnixTime};

use crate::config::Name;
use crate::epoch::Epoch;

pub use constraints::Constraints;
pub use credential::{ApiToken, KeyId, TokenError};
pub(crate) use credential::{bearer, digest};
pub use fields::{CacheSalt, Fields};
pub use gate::{Admission, Admitted, Refused, Slot};
pub use keyring::Keyring;
pub use prompt::Prompt;
pub use salt::{CacheSalts, Salt};

/// The inference endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Chat,
    Completions,
    Embeddings,
}

impl Endpoint {
    pub const ALL: [Endpoint; 3] = [Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings];

    /// The path clients use.
    pub fn path(self) -> &'static str {
        match self {
            Endpoint::Chat => "/v1/chat/completions",
            Endpoint::Completions => "/v1/completions",
            Endpoint::Embeddings => "/v1/embeddings",
        }
    }

    /// The path behind a base URL that ends in `/v1`.
    pub fn suffix(self) -> &'static str {
        match self {
            Endpoint::Chat => "/chat/completions",
            Endpoint::Completions => "/completions",
            Endpoint::Embeddings => "/embeddings",
        }
    }

    /// What metrics, logs and rows call it.
    pub fn label(self) -> &'static str {
        match self {
            Endpoint::Chat => "chat",
            Endpoint::Completions => "completions",
            Endpoint::Embeddings => "embeddings",
        }
    }
}

/// Whose request it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// The public part of the API key.
    pub key_id: Arc<str>,
    pub tenant: Name,
    /// SHA-256 of the whole API key: what receipts are bound to.
    pub key_digest: [u8; 32],
}

/// A request that may be served: authenticated, within limits, well formed, and bound to the epoch it came in under.
pub struct AdmittedRequest {
    pub receipt_id: String,
    pub caller: Caller,
    pub endpoint: Endpoint,
    pub fields: Fields,
    /// What engines that divide their cache by tenant are told.
    pub salt: Salt,
    pub prompt: Prompt,
    /// SHA-256 of the body as it was received.
    pub received_hash: Sha256Digest,
    /// The contract in force for this request until its end.
    pub epoch: Arc<Epoch>,
    pub admitted_at: UnixTime,
}
