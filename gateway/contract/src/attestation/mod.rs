//! Attestation reports: evidence for every client that requests it, without letting one client starve the others.
//!
//! Hardware signs one statement at a time and slowly, GPUs slower than the CPU. So one request is processed while a
//! bounded number of requests wait ([`turn_queue`]): in two lanes, in each of which networks and their hosts take turns
//! ([`fair_queue`]). A refused client is given a `Retry-After`. The report without a nonce is made once per epoch and
//! cached; a report with a nonce is made for its request only and never shared.

mod collateral;
mod fair_queue;
mod known_addresses;
mod report_queue;
mod report_request;
mod turn_queue;

pub use report_queue::{ReportQueue, Requester};
pub use report_request::ReportRequest;
