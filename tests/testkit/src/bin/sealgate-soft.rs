//! The gateway's own command line, on the software platform; its arguments are in [`testkit::machine`].

use std::process::ExitCode;

/// As in `sealgate` itself: memory that has been freed holds zeros.
#[global_allocator]
static MEMORY: scrub::Wiping = scrub::Wiping::new();

fn main() -> ExitCode {
    testkit::machine::run()
}
