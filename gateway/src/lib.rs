//! The Sealgate gateway: an OpenAI-compatible service whose every connection is a verifiable contract.
//!
//! A request walks through rooms, each a module that hands the next one a value:
//! [`listen`] → [`admit`] → [`route`] → [`channel`] → [`relay`] → [`receipt`] → [`ledger`].
//! Around them: [`config`] is read once and strictly, [`epoch`] is the contract a connection was
//! opened under, [`attestation`] publishes the evidence for it, [`http`] maps paths to rooms, [`errors`] is
//! where HTTP errors are born, [`request`] is what the rooms hand on, [`retention`] decides what outlives a request,
//! [`admin`] is what administrators see and do, and [`cli`] is what an operator types. [`hardening`] is what the process
//! gives up before it serves, and [`sqlite`] is how [`ledger`] and [`audit`] open their databases.
//! What is told leaves as [`events`], to the log and, where a collector is configured, as [`telemetry`]; [`metering`] lists
//! what is measured of a request.
//!
//! Nothing in here makes hardware evidence: it comes from a [`Platform`].

pub mod admin;
pub mod admit;
pub mod attestation;
pub mod audit;
pub mod channel;
pub mod check;
pub mod cli;
pub mod config;
pub mod descriptors;
pub mod epoch;
pub mod errors;
pub mod events;
pub mod evidence;
pub mod flushes;
pub mod http;
pub mod ledger;
pub mod listen;
pub mod metering;
pub mod metrics;
pub mod places;
pub mod platform;
pub mod receipt;
pub mod relay;
pub mod request;
pub mod retention;
pub mod rotation;
pub mod route;
mod serve;
pub mod sqlite;
pub mod store_failure;
pub mod telemetry;

pub use attest_channel::{Clock, SystemClock};
pub use harden as hardening;
pub use platform::{HardwarePlatform, Platform, PlatformError};
pub use serve::{Controls, ServeError, serve, serve_with};
