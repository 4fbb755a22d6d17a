//! Paths to rooms, and back.
//!
//! [`router`] maps the public surface: OpenAI's inference endpoints, ACI/1's artifacts, liveness. HTTP errors are born in
//! [`errors`](gateway_base::errors). Every response, whoever made it, leaves with the ACI headers of the epoch
//! its connection was opened under.

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
pub use router::{health_router, paths, router};
pub use routes::{Routes, only};
pub use state::{Connection, Front};
