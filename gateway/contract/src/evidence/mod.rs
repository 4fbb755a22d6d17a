//! Evidence from the hardware: one quote, every device and the event log, for one challenge.

mod epoch;
mod hardware;

pub(crate) use epoch::EpochEvidence;
pub use hardware::Hardware;
pub(crate) use hardware::{Challenge, HardwareEvidence};
