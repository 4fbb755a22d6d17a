//! What the tests and the demo stand on: a software platform with its own roots, a fake inference
//! engine, a relay in the middle, and a harness for the real binaries.
//!
//! Nothing here is linked into a shipped binary.

pub mod intel;
pub mod measurements;

pub use measurements::TdMeasurements;
