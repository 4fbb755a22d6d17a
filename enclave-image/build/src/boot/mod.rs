//! What is started: the unified kernel image, and the modules that go with its kernel.

pub mod modules;
pub mod uki;
