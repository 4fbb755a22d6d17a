//! `sealgate-soft` without the wiping allocator, with connections that are not scrubbed and stacks that are not wiped: the
//! control of the leak hunt, and what the cost of wiping is measured against. Nothing else differs.

use std::process::ExitCode;

fn main() -> ExitCode {
    scrub::testonly_wipe_nothing();
    testkit::machine::run()
}
