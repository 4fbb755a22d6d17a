//! `sealgate`: see `sealgate --help`.

use std::process::ExitCode;

/// Memory that has been freed holds zeros.
#[global_allocator]
static MEMORY: scrub::Wiping = scrub::Wiping::new();

fn main() -> ExitCode {
    sealgate::cli::run()
}
