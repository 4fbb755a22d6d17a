//! The public HTTP API.
//!
//! [`router`] maps paths to handlers: OpenAI's inference endpoints, ACI/1's documents, health. Errors become HTTP responses
//! in [`errors`](gateway_base::errors). Every response gets the ACI headers of the epoch that its connection was opened
//! under.

mod aci;
mod finish;
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
pub use public::json;
pub(crate) use router::is_health;
pub use router::{health_router, paths, router};
pub use routes::{Routes, only};
pub use state::{Connection, PublicState};
