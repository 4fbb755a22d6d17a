//! Types of a request that several crates share.
//!
//! The module `admit` of `gateway-path` creates these values, and every later step passes them on. They depend on no
//! step.

mod body_budget;
mod caller;
mod endpoint;
mod headers;
mod holder;
mod labels;
mod model_pattern;
mod name;
mod network;
mod restrictions;
mod role;
mod salt;

pub use body_budget::{BodyBudget, BodyReservation};
pub use caller::{Caller, KeyId};
pub use endpoint::Endpoint;
pub use headers::{
    ACI_VERSION, BUDGET_REMAINING, COST, KEYSET_DIGEST, MODEL, OWNER, RECEIPT_ID, RETENTION,
    SCENARIO,
};
pub use holder::{Holder, Metadata, MetadataChanges, UserKind};
pub use labels::{Label, LabelRules, Labels, LabelsError};
pub use model_pattern::ModelPattern;
pub use name::{Name, NameError};
pub use network::NetworkError;
pub use restrictions::{RestrictionChanges, RestrictionError, Restrictions, WrittenRestrictions};
pub use role::Role;
pub use salt::{CacheSalts, Salt};
