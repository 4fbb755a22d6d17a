//! What every other crate of the gateway uses: configured names and request types ([`request`]), the configuration
//! ([`config`]), scopes, money and windows of limits and budgets ([`quota`]), the closed set of log events ([`events`]) and their OTLP export ([`telemetry`]), what is measured of a
//! request ([`metering`], [`metrics`]), HTTP errors ([`errors`]), the causes of a failing store ([`store_failure`]),
//! the limits that file descriptors set ([`descriptors`]), how a lock is taken ([`mod@lock`]) and random bytes ([`mod@random`]).
//!
//! Nothing in here opens a socket to a client or an upstream, or a database.

pub mod config;
pub mod descriptors;
pub mod errors;
pub mod events;
pub mod lock;
pub mod metering;
pub mod metrics;
pub mod quota;
pub mod random;
pub mod request;
pub mod store_failure;
pub mod telemetry;
