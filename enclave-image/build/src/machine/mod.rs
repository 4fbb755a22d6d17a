//! Starts an image under emulation, for a person who looks or a check that waits.
//!
//! QEMU and the software TPM come from the lock and run from where they are unpacked, with their own loader and
//! libraries: nothing is installed, and every machine runs the same versions. There is no confidential hardware in
//! this: it shows what boots and what is measured into a TPM, and no more.

pub mod console;
pub mod guest;
pub mod memory;
pub mod tools;
pub mod tpm;
