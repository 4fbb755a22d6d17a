//! One file per command: read inputs, call the core, render, exit code.

pub mod collateral;
pub mod endpoint;
pub mod evidence;
pub mod inspect;
pub mod log;
pub mod measure;
pub mod policy;
pub mod quote;
pub mod receipt;
pub mod report;
pub mod retention_opening;
pub mod session;
