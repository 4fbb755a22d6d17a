//! The contract that a connection is opened under, and the evidence for it. A [`platform`] gives access to the hardware,
//! [`evidence`] is collected from it, an [`epoch`] binds keys, configuration, retention policy and routes together,
//! [`rotation`] begins the next one, and [`attestation`] makes reports for clients. [`check`] lists what prevents a
//! configuration from being served.
//!
//! Nothing in here knows requests for inference or their bodies.

pub mod attestation;
pub mod check;
pub mod epoch;
pub mod evidence;
pub mod platform;
pub mod rotation;
