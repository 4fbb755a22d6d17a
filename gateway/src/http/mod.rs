//! Paths to rooms, and back.
//!
//! [`router`] maps the public surface: OpenAI's inference endpoints, ACI/1's artifacts, liveness. HTTP errors are born in
//! [`errors`](crate::errors). Every response, whoever made it, leaves with the ACI headers of the epoch
//! its connection was opened under.

mod aci;
mod finish;
mod flushes;
mod inference;
mod log;
mod models;
mod public;
mod records;
mod retention;
mod router;
mod routes;
mod state;

pub(crate) use finish::finish;
pub use flushes::{CountsFlushes, Flushes};
pub(crate) use public::json;
pub use router::{health_router, paths, router};
pub(crate) use routes::{Routes, only};
pub use state::{Connection, Front};

/// Response header: the protocol version (ACI/1 §5.2).
pub const ACI_VERSION: http::HeaderName = http::HeaderName::from_static("x-aci-version");
/// Response header, and precondition on requests: the digest of the keyset that serves.
pub const KEYSET_DIGEST: http::HeaderName = http::HeaderName::from_static("x-aci-keyset-digest");
/// Response header: where the receipt will be found.
pub const RECEIPT_ID: http::HeaderName = http::HeaderName::from_static("x-receipt-id");
/// Announces a request's model, so that preconditions can be judged for it before the body is read.
pub const MODEL: http::HeaderName = http::HeaderName::from_static("x-sealgate-model");
/// Precondition on requests: the most the caller allows to be kept.
pub const RETENTION: http::HeaderName = http::HeaderName::from_static("x-sealgate-retention");
