//! Upstreams of the gateway. [`prompt`] is what is sent, [`route`] finds the configured upstreams of a model, [`channel`] is the only code that can
//! send a prompt: over a connection whose peer was verified, or over one that the configuration calls unverified.
//!
//! Nothing in here knows which client made a request.

pub mod channel;
pub mod prompt;
pub mod route;
