//! What the tests and the demo stand on: a software platform with its own roots, a fake inference
//! engine, a relay in the middle, and a harness for the real binaries.
//!
//! Nothing here is linked into a shipped binary.

pub mod amd;
mod base64;
pub mod client;
pub mod config;
mod der;
pub mod engine;
pub mod event_log;
pub mod intel;
pub mod machine;
pub mod measurements;
pub mod nvidia;
pub mod platform;
pub mod policy;
pub mod process;
pub mod relay;
pub mod report;
pub mod scratch;
pub mod service;

pub use measurements::TdMeasurements;
pub use platform::SoftwarePlatform;
