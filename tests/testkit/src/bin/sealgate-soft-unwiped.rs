//! `sealgate-soft` without the wiping allocator: the control of the leak hunt, and what the cost of
//! wiping is measured against. Nothing else differs.

use std::process::ExitCode;

fn main() -> ExitCode {
    testkit::machine::run()
}
