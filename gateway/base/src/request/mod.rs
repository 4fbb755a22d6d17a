//! What the rooms of a request hand on to each other.
//!
//! Values without a way of their own to come to be: [`admit`](gateway_path::admit) makes them, everybody behind it passes
//! them on. They know no room.

mod body_budget;
mod caller;
mod endpoint;
mod headers;
mod key_id;
mod name;
mod salt;

pub use body_budget::{BodyBudget, Reserved};
pub use caller::Caller;
pub use endpoint::Endpoint;
pub use headers::{ACI_VERSION, KEYSET_DIGEST, MODEL, RECEIPT_ID, RETENTION};
pub use key_id::KeyId;
pub use name::{Name, NameError};
pub use salt::{CacheSalts, Salt};
