//! `sealgate retention`: the policy in force, what another would change, and putting it in force.
//!
//! Nothing here has more power than a signed document: `set` refuses what the service would refuse. A running service
//! notices within a second and begins a new epoch. Signing needs neither configuration nor service, only a key file;
//! it can be done where neither of them is.

mod act;
mod failure;
mod files;
mod keys;
mod look;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::ConfigFile;
use failure::RetentionFailure;
use look::Shown;

#[derive(Subcommand)]
pub(super) enum RetentionCommand {
    /// Make a policy key: the secret into a file, the public half on standard output
    Keygen {
        /// Where the secret goes; must not exist
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show the policy in force
    Show {
        #[command(flatten)]
        config: ConfigFile,
        /// Print the document itself, with names and salt, to be signed by policy keys that are configured later
        #[arg(long)]
        document: bool,
        /// Print the document as reports show it, with commitments in place of names
        #[arg(long, conflicts_with = "document")]
        published: bool,
    },
    /// Say exactly what another policy would change, and for whom; nothing is changed
    #[command(allow_missing_positional = true)]
    Plan {
        #[command(flatten)]
        config: ConfigFile,
        /// The other policy; signatures are read from POLICY.sig
        policy: PathBuf,
    },
    /// Sign a policy; the signature is added to POLICY.sig
    Sign {
        /// A key file made by `keygen`
        #[arg(short, long, value_name = "FILE")]
        key: PathBuf,
        policy: PathBuf,
    },
    /// Put a signed policy in force; a running service begins a new epoch
    #[command(allow_missing_positional = true)]
    Set {
        #[command(flatten)]
        config: ConfigFile,
        /// The policy; signatures are read from POLICY.sig
        policy: PathBuf,
    },
    /// List every policy that was in force
    History {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Delete a sealed record before its time; its receipt stays
    #[command(allow_missing_positional = true)]
    Delete {
        #[command(flatten)]
        config: ConfigFile,
        /// The receipt's id
        receipt_id: String,
    },
    /// Say by which time things expire; with --accept, take the system's clock for it
    Clock {
        #[command(flatten)]
        config: ConfigFile,
        /// The system's clock is right: what has expired by it goes
        #[arg(long)]
        accept: bool,
    },
}

pub(super) async fn run(command: RetentionCommand) -> ExitCode {
    let outcome = match command {
        RetentionCommand::Keygen { out } => keys::generate(&out),
        RetentionCommand::Show {
            config,
            document,
            published,
        } => {
            let shown = match (document, published) {
                (true, _) => Shown::Document,
                (_, true) => Shown::Published,
                _ => Shown::Words,
            };
            look::show(&config.path(), shown).await
        }
        RetentionCommand::Plan { config, policy } => look::plan(&config.path(), &policy).await,
        RetentionCommand::Sign { key, policy } => keys::sign(&key, &policy),
        RetentionCommand::Set { config, policy } => act::set(&config.path(), &policy).await,
        RetentionCommand::History { config } => look::history(&config.path()).await,
        RetentionCommand::Delete { config, receipt_id } => {
            act::delete(&config.path(), &receipt_id).await
        }
        RetentionCommand::Clock { config, accept } => act::clock(&config.path(), accept).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
