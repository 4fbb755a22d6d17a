//! Predicts what a launch will measure, before anything is launched: bytes in, values out.
//!
//! From a firmware file, a unified kernel image (UKI) and a description of the machine it computes
//!
//! - [`snp`]: the launch digest of an SEV-SNP guest;
//! - [`tdx`]: MRTD of a TD, and the events that make RTMR0 to RTMR2, one by one;
//! - [`compare`]: a comparison of those events with the log of a real boot.
//!
//! [`firmware`], [`pe`] and [`uki`] parse the files; they accept any bytes and refuse with a reason.
//! Every predicted value states what it follows from ([`Origin`]), so that a value which the host decides is
//! never shown as known. No prediction is evidence: only a quote proves what ran.
//!
//! No clock, no socket, no file.

#![warn(missing_docs)]

mod bytes;
pub mod compare;
mod expected;
pub mod firmware;
mod guid;
mod hash;
pub mod log;
pub mod pe;
pub mod snp;
pub mod tdx;
pub mod uki;

pub use expected::{ExpectedEvent, Origin, register_value};
pub use guid::Guid;
pub use hash::{Sha384, sha384};
