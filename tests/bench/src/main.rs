//! The cost of the gateway, measured beside nginx (TLS in, plain out) and beside no gateway at all, and its goals.
//!
//! One run starts a lean mock engine and every target on loopback, then measures round by round with the targets
//! interleaved, and reports medians. The target under test has one core to itself where `taskset` is there; the
//! engine and the load share the other. Nothing here decides anything about trust: [`client`] accepts every certificate.

mod client;
mod cpu;
mod duties;
mod engine;
mod floor;
mod goals;
mod growth;
mod idle;
mod load;
mod process;
mod report;
mod round;
mod rows;
mod shape;
mod targets;
mod wipe;

use std::process::ExitCode;

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
    /// Serves the bare proxy until it is stopped.
    Floor(floor::Settings),
    /// Measures the memory of an idle connection.
    Idle(idle::Settings),
    /// Measures what the gateway's duties cost.
    Duties(round::Settings),
    /// Measures what wiping memory costs.
    Wipe(wipe::Settings),
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Engine(settings)) => engine::serve(&settings),
        Some(Command::Load(settings)) => load::drive(&settings),
        Some(Command::Floor(settings)) => floor::serve(&settings),
        Some(Command::Idle(settings)) => idle::measure(&settings),
        Some(Command::Duties(settings)) => duties::run(&settings),
        Some(Command::Wipe(settings)) => wipe::run(&settings),
        None => return round::run(&arguments.run),
    }?;
    Ok(ExitCode::SUCCESS)
}
