//! The public HTTP API.
//!
//! [`router`] maps paths to handlers: ACI/1's documents, models, health. Inference requests do not pass through it: the
//! connection hands them to [`inference`]. Errors become HTTP responses
//! in [`errors`](gateway_base::errors). Every response gets the ACI headers of the epoch that its connection was opened
//! under.

mod aci;
mod finish;
pub(crate) mod inference;
mod log;
mod models;
mod public;
mod records;
mod retention;
mod router;
mod routes;
mod state;

pub(crate) use finish::finish;
pub(crate) use inference::ClientBody;
pub use public::json;
pub(crate) use router::is_health;
pub use router::{health_router, paths, router};
pub use routes::{Routes, only};
pub use state::{Connection, PublicState};
