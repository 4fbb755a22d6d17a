//! Upstreams of the gateway. [`route`] finds the configured upstream of a model, [`channel`] is the only place that can
//! send a prompt: over a connection whose peer was verified, or over one that the configuration calls unverified.
//!
//! Nothing in here knows who made a request.

pub mod channel;
pub mod prompt;
pub mod route;
