//! The public conformance kit: named cases of evidence with the decision and the failing checks
//! that a verifier of `sealgate/1` has to arrive at. `cases/` is data; nothing of it needs Rust.
//!
//! Evidence is of the mock vendors, under roots that come with the kit. What a
//! case expects is written by hand beside what makes it, never taken from a verdict.

pub mod case;
pub mod composite;
pub mod kit;
pub mod nvidia;
pub mod receipts;
pub mod reports;
pub mod run;
pub mod snp;
pub mod tdx;

use attest_core::UnixTime;

/// The time of every case that does not say otherwise.
pub const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
pub const SEED: [u8; 32] = [5; 32];

/// All of them.
pub fn kit() -> kit::Kit {
    let mut kit = kit::Kit::default();
    tdx::add(&mut kit);
    reports::add(&mut kit);
    snp::add(&mut kit);
    nvidia::add(&mut kit);
    composite::add(&mut kit);
    receipts::add_all(&mut kit);
    kit
}
