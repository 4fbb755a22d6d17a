//! `sealgate-verify`. Everything is in the library, so that tests can run it in-process.

use std::process::ExitCode;

/// Overwrites freed memory with zeros.
#[global_allocator]
static MEMORY: scrub::Wiping = scrub::Wiping::new();

fn main() -> ExitCode {
    if let Some(ended) = harden::run_resolver() {
        return ended;
    }
    sealgate_verify::run(std::env::args_os())
}
