//! The report endpoint: evidence for whoever asks, without letting anybody starve the service with nonces.
//!
//! Hardware signs one statement at a time and slowly, GPUs slower than the CPU. So one request is in work and a bounded
//! number of requests wait: in two lanes, in each of which networks and their hosts take turns. A caller that is refused
//! learns when to come back. The report that answers no challenge is made once per epoch; a challenged one answers its
//! own challenge only and is never shared.

mod collateral;
mod desk;
mod fair_queue;
mod known_addresses;
mod question;
mod report_queue;

pub use desk::{Desk, Requester};
pub use question::Question;
