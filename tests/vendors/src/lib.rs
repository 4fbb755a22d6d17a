//! Mock vendors: Intel's, AMD's and NVIDIA's hierarchies, evidence and collateral in their real
//! formats, every byte following from a seed and a time, and what guests on them measure and report.
//!
//! [`identity`] is a mock identity provider.
//!
//! It proves nothing about any hardware: a verifier accepts it only when it is handed these roots.
//! Nothing here knows the gateway, a runtime or a socket, so that what only judges evidence builds
//! without them. Nothing here is linked into a shipped program.

pub mod amd;
pub mod audit_log;
pub mod base64;
mod der;
pub mod event_log;
pub mod identity;
pub mod intel;
pub mod measurements;
pub mod nvidia;
pub mod policy;
pub mod report;
mod vendors;

pub use measurements::TdMeasurements;
pub use vendors::Vendors;
