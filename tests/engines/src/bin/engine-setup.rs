//! Downloads and unpacks the real engine and its model for tests, demo and images. Running it again changes nothing.
//! Where they cannot be had it prints `skipped: ` with the reason, and ends with 0.

use std::process::ExitCode;

use clap::Parser;

use engines::{Place, Unavailable, install, install_model};

#[derive(Debug, Parser)]
#[command(name = "engine-setup", version)]
struct Arguments {
    /// Only the model. Prints its path, or fails
    #[arg(long)]
    model: bool,
}

fn main() -> ExitCode {
    let is_for_model = Arguments::parse().model;
    match set_up(is_for_model) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(reason) if is_for_model => {
            eprintln!("engine-setup: {reason}");
            ExitCode::FAILURE
        }
        Err(reason) => {
            println!("skipped: the real engine: {reason}");
            ExitCode::SUCCESS
        }
    }
}

fn set_up(is_for_model: bool) -> Result<String, Unavailable> {
    let place = Place::from_environment();
    let report = |line: &str| eprintln!("{line}");
    if is_for_model {
        let file = install_model(&place, &report)?;
        return Ok(file.display().to_string());
    }
    let installed = install(&place, &report)?;
    let (packages, model) = (installed.llama.root, installed.model.file);
    Ok(format!("{} with {}", packages.display(), model.display()))
}
