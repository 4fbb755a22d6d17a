//! The contract that a connection is opened under, and the evidence for it. A [`platform`] gives access to the hardware,
//! [`evidence`] is what it shows, an [`epoch`] binds keys, configuration, retention policy and routes together,
//! [`rotation`] begins the next one, and [`attestation`] queues requests for reports. [`check`] finds out what keeps a
//! configuration from being served.

pub mod attestation;
pub mod check;
pub mod epoch;
pub mod evidence;
pub mod platform;
pub mod rotation;
