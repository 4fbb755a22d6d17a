//! `sealgate retention`: shows the active policy, plans another, signs it and activates it.
//!
//! These commands cannot do more than a signed document permits: `set` refuses what the service would refuse. A running
//! service notices a change within a second and begins a new epoch. Signing needs only a key file, neither the
//! configuration nor the service, so it can be done on another machine.

mod change;
mod failure;
mod files;
mod keys;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::ConfigFile;
use failure::RetentionFailure;
use show::PolicyForm;

#[derive(Subcommand)]
pub(super) enum RetentionCommand {
    /// Generate a policy key: the secret half goes to a file, the public half to standard output
    Keygen {
        /// Where the secret goes; must not exist
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show the active policy
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
    /// Print exactly what another policy would change, and for which tenants; nothing is changed
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
    /// Activate a signed policy; a running service begins a new epoch
    #[command(allow_missing_positional = true)]
    Set {
        #[command(flatten)]
        config: ConfigFile,
        /// The policy; signatures are read from POLICY.sig
        policy: PathBuf,
    },
    /// List every policy that was ever active
    History {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Delete a sealed record before it expires; its receipt stays
    #[command(allow_missing_positional = true)]
    Delete {
        #[command(flatten)]
        config: ConfigFile,
        /// The receipt's id
        receipt_id: String,
    },
    /// Print the time by which data expires; with --accept, use the system's clock
    Clock {
        #[command(flatten)]
        config: ConfigFile,
        /// The system's clock is right: delete what has expired by it
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
            let form = match (document, published) {
                (true, _) => PolicyForm::Document,
                (_, true) => PolicyForm::Published,
                _ => PolicyForm::Table,
            };
            show::show(&config.path(), form).await
        }
        RetentionCommand::Plan { config, policy } => show::plan(&config.path(), &policy).await,
        RetentionCommand::Sign { key, policy } => keys::sign(&key, &policy),
        RetentionCommand::Set { config, policy } => change::set(&config.path(), &policy).await,
        RetentionCommand::History { config } => show::history(&config.path()).await,
        RetentionCommand::Delete { config, receipt_id } => {
            change::delete(&config.path(), &receipt_id).await
        }
        RetentionCommand::Clock { config, accept } => change::clock(&config.path(), accept).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
