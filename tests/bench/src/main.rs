//! The cost of the gateway, measured beside nginx (TLS in, plain out) and beside no gateway at all.
//!
//! One run starts a lean mock engine and every target on loopback, then measures round by round with the targets
//! interleaved, and reports medians. The target under test has one core to itself where `taskset` is there; the
//! engine and the load share the other. Nothing here decides anything about trust: [`client`] accepts every certificate.

mod client;
mod cpu;
mod engine;
mod load;
mod process;
mod report;
mod round;
mod targets;
mod wipe;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures sealgate beside nginx and beside a direct connection")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: round::Settings,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the mock engine until it is stopped.
    Engine(engine::Settings),
    /// Drives one target with one shape of load and prints what it saw as one line of JSON.
    Load(load::Settings),
    /// Measures what wiping memory costs.
    Wipe(wipe::Settings),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Engine(settings)) => engine::serve(&settings),
        Some(Command::Load(settings)) => load::drive(&settings),
        Some(Command::Wipe(settings)) => wipe::run(&settings),
        None => round::run(&arguments.run),
    }
}
