//! Admission: authentication, limits, and the form of a request.
//!
//! [`Admission::admit`] turns an HTTP request into an [`AdmittedRequest`] or an [`ApiError`](gateway_base::errors::ApiError).
//! The order matters: the credential and the caller's preconditions are checked before a byte of the body is read,
//! the limits before anything is allocated for it, and the body is read as bytes: it is never parsed into a tree,
//! copied or printed. Later modules rely on these checks and do not repeat them.

mod admission;
mod applied;
mod authorized;
mod body;
mod budget;
mod constraints;
mod credential;
mod directory;
mod estimate;
mod fields;
mod images;
mod keyring;
mod limit_share;
mod preconditions;
mod salt;
mod token_callers;

use std::sync::Arc;

use attest_core::retention::Terms;
use attest_core::{Sha256Digest, UnixTime};

use gateway_authorization::{Denied, Permit};
use gateway_base::request::{Caller, Endpoint, Labels};
use gateway_contract::epoch::Epoch;
use gateway_quota::Reservation;
use gateway_upstream::prompt::Prompt;
use gateway_upstream::route::RoutedModel;

pub use admission::{Admission, ApiKey};
pub(crate) use admission::{Admitted, RequestSlot};
pub use applied::AppliedGeneration;
pub use constraints::Constraints;
pub use credential::{ApiToken, TokenError};
pub use credential::{bearer, digest, token};
pub use fields::{CacheSalt, Fields};
pub use keyring::Keyring;
pub use limit_share::LimitShare;

/// A request that may be served: authenticated, within limits, well formed, for a known model, and bound to the epoch of
/// its connection.
pub struct AdmittedRequest {
    pub context: RequestContext,
    /// Resolved once, in admission.
    pub model: RoutedModel,
    pub fields: Fields,
    /// The client's own salt, if it is bound into that of its tenant.
    pub client_salt: Option<String>,
    pub prompt: Prompt,
    /// That the authorization policy allows it, and through which upstreams.
    pub permit: Permit,
}

/// A request that is refused after everything else about it was checked. Its refusal gets a receipt.
pub enum Unserved {
    UnknownModel(UnknownModel),
    NotAuthorized(NotAuthorized),
}

impl Unserved {
    pub fn context(&self) -> &RequestContext {
        match self {
            Self::UnknownModel(unknown) => &unknown.context,
            Self::NotAuthorized(refused) => &refused.context,
        }
    }
}

/// A request that the authorization policy does not allow.
pub struct NotAuthorized {
    pub context: RequestContext,
    pub model: RoutedModel,
    pub denied: Denied,
}

/// A request that would be served if its model were known.
pub struct UnknownModel {
    pub context: RequestContext,
    /// The client requires a verified upstream.
    pub verification_required: bool,
}

/// What the receipt of a request needs.
pub struct RequestContext {
    pub receipt_id: String,
    pub caller: Caller,
    /// What the caller counts it to.
    pub labels: Labels,
    pub endpoint: Endpoint,
    pub stream: bool,
    /// The size of the body as it was received.
    pub received_bytes: u64,
    /// Images of the prompt, if they have a price.
    pub images: u64,
    /// SHA-256 of the body as it was received.
    pub received_hash: Sha256Digest,
    /// The contract for this request until its end.
    pub epoch: Arc<Epoch>,
    /// What is kept of it under that contract.
    pub retention: Arc<Terms>,
    /// What it has reserved of budgets and credits.
    pub reservation: Reservation,
    pub admitted_at: UnixTime,
    /// Its share of the limits that apply to its caller.
    pub limit_share: Option<LimitShare>,
}
