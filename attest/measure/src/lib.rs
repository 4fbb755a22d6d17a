//! What a launch will measure, computed before anything is launched: bytes in, values out.
//!
//! From a firmware file, a unified kernel image (UKI) and what is known of the machine come
//!
//! - [`snp`]: the launch digest of an SEV-SNP guest;
//! - [`tdx`]: MRTD of a TD, and the events that make RTMR0 to RTMR2, one by one;
//! - [`compare`]: those events held against the log of a real boot.
//!
//! [`firmware`], [`pe`] and [`uki`] read the files; they take any bytes and refuse with a reason.
//! Everything predicted says what it follows from ([`Origin`]), so that what the host decides is
//! never passed off as known. No prediction is evidence: only a quote says what did run.
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
