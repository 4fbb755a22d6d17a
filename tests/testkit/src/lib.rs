//! What the tests and the demo are built on: a software platform with its own roots, a fake inference
//! engine, a relay in the middle, and a harness for the real binaries.
//!
//! Nothing here is linked into a shipped binary.

pub mod client;
pub mod config;
pub mod engine;
pub mod identity;
pub mod machine;
pub mod platform;
pub mod process;
pub mod relay;
pub mod scratch;
pub mod scripted;
pub mod service;

pub use platform::SoftwarePlatform;
use vendors::base64;
pub use vendors::{TdMeasurements, amd, event_log, intel, measurements, nvidia, policy, report};
