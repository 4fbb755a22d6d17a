//! The report endpoint: evidence for whoever asks, without letting anybody starve the service with nonces.
//!
//! Hardware signs one statement at a time and slowly, GPUs slower than the CPU. So one question is in work, a bounded
//! number of questions wait, and whoever comes then is told when to come back. The report that answers no challenge is
//! made once per epoch.

mod collateral;
mod desk;
mod hardware;
mod question;

pub use desk::{Desk, EpochEvidence};
pub use hardware::Hardware;
pub use question::Question;
