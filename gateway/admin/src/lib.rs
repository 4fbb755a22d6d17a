//! What administrators see and do, on a listener of its own.
//!
//! The listener speaks TLS with the key of the epoch in force, so that an administrator can verify the service with
//! `sealgate-verify endpoint` before an admin key is typed anywhere. Admin keys are not API keys: they open nothing on
//! the public listener, and API keys nothing here. Every handler takes a [`By`] with the role it needs; there is no
//! other way to an answer than through it, but for the [`console`], whose page is the same for everybody, and the
//! report that answers a challenge.
//!
//! Nothing here is content: what can be asked is what the ledger, the epoch and the audit log hold.

mod attestation;
mod body;
mod clock;
mod console;
mod credential;
mod export;
mod keys;
mod log;
mod records;
mod retention;
mod role;
mod router;
mod sessions;
mod status;
mod tenants;
mod upstreams;
mod usage;

pub use credential::{AdminToken, AdminTokenError};
pub use router::{Admin, paths, router};

pub(crate) use role::{Auditing, By, Operating, Viewing};
