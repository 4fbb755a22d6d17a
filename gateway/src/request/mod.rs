//! What the rooms of a request hand on to each other.
//!
//! Values without a way of their own to come to be: [`admit`](crate::admit) makes them, everybody behind it passes
//! them on. They know no room.

mod body_budget;
mod caller;
mod endpoint;
mod prompt;
mod salt;

pub use body_budget::{BodyBudget, Reserved};
pub use caller::Caller;
pub use endpoint::Endpoint;
pub use prompt::Prompt;
pub use salt::{CacheSalts, Salt};
