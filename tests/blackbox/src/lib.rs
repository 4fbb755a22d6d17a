//! What the black-box tests share: a world of real processes — engine, enclave, gateway, proxy —
//! and small ways to ask and to check.
//!
//! The tests drive `sealgate-soft` (the gateway on the software platform) and `sealgate-verify` as
//! anyone would: over sockets, signals and command lines.

pub mod asking;
pub mod flood;
pub mod namespace;
pub mod world;

pub use world::{World, identity};
