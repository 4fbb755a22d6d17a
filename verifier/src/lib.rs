//! `sealgate-verify`: reads inputs, has `attest_core` verify and appraise them, and prints the verdict.
//!
//! It makes no checks itself: the core, which the gateway uses too, decides what is genuine, accepted by the policy and
//! bound to the channel. Exit codes: 0 accepted, 10 rejected, 20 unsupported, 30 malformed input,
//! 1 could not be done, 2 wrong usage.

pub mod args;
pub mod cli;
pub mod collateral;
pub mod commands;
pub mod conclusion;
pub mod evidence_input;
pub mod failure;
pub mod files;
pub mod findings;
pub mod inputs;
pub mod log;
pub mod proxy;
pub mod qualified_verdict;
pub mod receipt_check;
pub mod render;
pub mod trust_inputs;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use failure::{Failure, exit};

/// Parses the arguments, runs the command, and turns its outcome into an exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(message) => {
            let code = if message.use_stderr() {
                exit::USAGE
            } else {
                exit::ACCEPTED
            };
            let _ = message.print();
            return ExitCode::from(code);
        }
    };
    match dispatch(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("sealgate-verify: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Endpoint(args) => block_on(commands::endpoint::run(args)),
        Command::Report(args) => block_on(commands::report::run(args)),
        Command::Receipt(args) => block_on(commands::receipt::run(args)),
        Command::Session(args) => commands::session::run(&args),
        Command::Quote(args) => block_on(commands::quote::run(args)),
        Command::Evidence(args) => commands::evidence::run(*args),
        Command::Collateral(args) => block_on(commands::collateral::run(args)),
        Command::RetentionOpening(args) => block_on(commands::retention_opening::run(*args)),
        Command::Policy(args) => commands::policy::run(&args),
        Command::Measure(args) => commands::measure::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Log(args) => block_on(commands::log::run(*args)),
        Command::Proxy(args) => {
            proxy::harden(&args)?;
            block_on(proxy::run(args))
        }
    }
}

fn block_on(work: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_park(scrub::wipe_unused_stack)
        .build()
        .map_err(|e| Failure::Internal(format!("cannot start: {}", e.kind())))?
        .block_on(work)
}
