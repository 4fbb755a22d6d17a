//! Starts an image under emulation, for people and for tests.
//!
//! QEMU and the software TPM come from the lock and run from where they are unpacked, with their own loader and
//! libraries: nothing is installed, and every machine runs the same versions. There is no confidential hardware:
//! emulation shows what boots and what is measured into a TPM, and no more.

pub mod console;
pub mod guest;
pub mod memory;
pub mod tools;
pub mod tpm;
