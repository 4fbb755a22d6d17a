//! The whole story on one machine: an enclave, a gateway, a client that checks first, and three
//! attempts to get past the checks.
//!
//! Everything runs as real processes over real sockets. Only the hardware is replaced, by the
//! testkit's software platform; the verdicts say so, since they are rooted in a supplied root.
//! Every step checks what it shows, and the demo fails if one does not hold.

mod engine;
mod farewell;
mod refusals;
mod say;
mod sdk;
mod stage;
mod tour;
mod verifier;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use engine::Choice;
use stage::Stage;

/// Shows a verified chat completion end to end, and three refusals, on a software platform.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
struct Arguments {
    /// An OpenAI-compatible engine on this machine, such as http://127.0.0.1:8000/v1
    #[arg(long, value_name = "URL", conflicts_with = "model")]
    engine: Option<String>,
    /// A GGUF file that llama.cpp answers from, or "none" for the built-in engine, which needs no download
    /// [default: SmolLM2-135M-Instruct, downloaded once]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// End after the last step instead of staying up
    #[arg(long)]
    once: bool,
}

impl Arguments {
    fn choice(&self) -> Choice {
        match (&self.engine, &self.model) {
            (Some(url), _) => Choice::Running(url.clone()),
            (None, Some(model)) if model.as_os_str() == "none" => Choice::BuiltIn,
            (None, Some(model)) if model.as_os_str() != "smollm2" => Choice::File(model.clone()),
            (None, _) => Choice::Pinned,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::failed(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let mut stage = Stage::set(&arguments.choice(), arguments.once).await?;
    if let Err(error) = show(&mut stage).await {
        stage.print_logs();
        return Err(error);
    }
    say::all_held();
    if !arguments.once {
        farewell::print(&stage);
        tokio::signal::ctrl_c().await?;
    }
    Ok(())
}

async fn show(stage: &mut Stage) -> Result<()> {
    tour::gateway_verifies_before_it_forwards(stage).await?;
    tour::the_enclave_shows_its_gpus_too(stage).await?;
    tour::anyone_can_check_the_gateway(stage).await?;
    tour::an_unmodified_sdk_through_the_proxy(stage).await?;
    tour::a_receipt_is_verified(stage).await?;
    refusals::a_relay_in_the_middle(stage).await?;
    refusals::an_enclave_with_another_measurement(stage).await?;
    refusals::a_client_that_pins_a_replaced_keyset(stage).await
}
