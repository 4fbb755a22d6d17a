//! `sealgate-verify`: everything is in the library, so that tests can run it in-process.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealgate_verify::run(std::env::args_os())
}
