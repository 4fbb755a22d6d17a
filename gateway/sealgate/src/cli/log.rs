//! `sealgate log`: exports the audit log.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::{ConfigFile, unusable};
use gateway_base::config::{Config, ConfigError};
use gateway_store::StoreError;
use gateway_store::audit::{AuditLog, ExportError};

#[derive(Subcommand)]
pub(super) enum LogCommand {
    /// Write the log as a directory of static files (C2SP tlog-tiles)
    Export {
        #[command(flatten)]
        config: ConfigFile,
        /// The directory; it must be empty or not exist
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Add what auditors may see and the public may not: the digests of receipts, and the subjects of
        /// administrative entries
        #[arg(long)]
        private: bool,
    },
    /// Print the newest head
    Head {
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Debug, thiserror::Error)]
enum LogError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Export(#[from] ExportError),
    #[error("{0}")]
    Audit(#[from] StoreError),
}

pub(super) async fn run(command: LogCommand) -> ExitCode {
    let outcome = match command {
        LogCommand::Export {
            config,
            to,
            private,
        } => export(config, to, private).await,
        LogCommand::Head { config } => head(config).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(LogError::Config(error)) => unusable(&error),
        Err(error) => {
            eprintln!("sealgate: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn open(config: ConfigFile) -> Result<AuditLog, LogError> {
    let config = Config::load(&config.path())?;
    Ok(AuditLog::open_beside(&config.server.state_dir).await?)
}

async fn export(config: ConfigFile, to: PathBuf, private: bool) -> Result<(), LogError> {
    let log = open(config).await?;
    let head = log.export(&to, private).await;
    log.close().await;
    let head = head?;
    let claimed = head.claimed();
    eprintln!(
        "Wrote {} entries of {} to {}.",
        claimed.size,
        claimed.origin,
        to.display()
    );
    Ok(())
}

async fn head(config: ConfigFile) -> Result<(), LogError> {
    let log = open(config).await?;
    let head = log.latest_head().await;
    log.close().await;
    match head? {
        Some(head) => print!("{}", head.note()),
        None => return Err(ExportError::NoHead.into()),
    }
    Ok(())
}
