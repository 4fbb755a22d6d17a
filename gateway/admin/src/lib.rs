//! The administrators' API and console, on a separate listener.
//!
//! The listener speaks TLS with the key of the active epoch, so that an administrator can verify the service with
//! `sealgate-verify endpoint` before an admin key is typed anywhere. Admin keys are not API keys: they grant nothing on
//! the public listener, and API keys nothing here. Every handler takes a [`By`] with the role it needs, except the
//! [`console`], whose page is the same for every client, and the report that answers a challenge.
//!
//! No handler returns the content of requests, only what the ledger, the epoch and the audit log store.

mod attestation;
mod body;
mod budgets;
mod clock;
mod console;
mod credential;
mod directory;
mod export;
mod keys;
mod limits;
mod log;
mod organisations;
mod records;
mod retention;
mod role;
mod router;
mod sessions;
mod status;
mod tenants;
mod upstreams;
mod usage;
mod usage_groups;
mod users;

pub use credential::{AdminToken, AdminTokenError};
pub use router::{Admin, paths, router};

pub(crate) use role::{Auditing, By, Operating, Viewing};
