//! `sealgate`: see `sealgate --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealgate::cli::run()
}
