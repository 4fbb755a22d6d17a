//! `sealgate import prices`: price lists of other software, printed as a price table.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::UNUSABLE;
use gateway_import::{PricesError, import_litellm_prices};

#[derive(Subcommand)]
pub(in crate::cli) enum PricesCommand {
    /// Print LiteLLM's model_prices_and_context_window.json as a price table; what has no counterpart is listed on
    /// standard error
    Litellm {
        /// The JSON file
        file: PathBuf,
    },
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error("{0}")]
    Source(#[from] PricesError),
}

pub(super) fn run(command: PricesCommand) -> ExitCode {
    let PricesCommand::Litellm { file } = command;
    let Err(error) = litellm(&file) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("sealgate: {}: {error}", file.display());
    match error {
        Failure::Source(_) => ExitCode::from(UNUSABLE),
        Failure::Unreadable(_) => ExitCode::FAILURE,
    }
}

fn litellm(file: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file)?;
    let imported = import_litellm_prices(&text)?;
    print!("{}", imported.table);
    for left in &imported.left_out {
        eprintln!("{left}");
    }
    eprintln!(
        "{} models have a price now, {} prices have no counterpart.",
        imported.models,
        imported.left_out.len()
    );
    Ok(())
}
