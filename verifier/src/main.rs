//! `sealgate-verify`: everything is in the library, so that tests can run it in-process.

use std::process::ExitCode;

/// Memory that has been freed holds zeros.
#[global_allocator]
static MEMORY: scrub::Wiping = scrub::Wiping::new();

fn main() -> ExitCode {
    if let Some(ended) = harden::run_resolver() {
        return ended;
    }
    sealgate_verify::run(std::env::args_os())
}
