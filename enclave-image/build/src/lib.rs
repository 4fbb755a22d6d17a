//! Builds the confidential VM from locked packages and this repository's programs.
//!
//! [`disk`] and [`boot`] make bytes from bytes; [`debian`] brings packages; [`image`] puts an image together from a
//! [`definition`]; [`machine`] starts one under emulation.

pub mod blob;
pub mod boot;
pub mod debian;
pub mod definition;
pub mod disk;
pub mod image;
pub mod machine;
pub mod manifest;
pub mod predict;
pub mod programs;
pub mod repro;
pub mod say;
pub mod sbom;
