//! `sealgate keys`: API keys, written directly to the ledger.
//!
//! If a service runs from the same state directory, the command waits until the service has applied the change. The key
//! is printed once, when it is created; only its digest is stored.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::ConfigFile;
use super::credentials::{self, CONFIRM, Column, CredentialError, Kind, Row, name};
use attest_channel::Clock;
use attest_channel::SystemClock;
use gateway_base::config::show_duration;
use gateway_base::request::Name;
use gateway_path::admit::{ApiToken, AppliedGeneration};
use gateway_store::StoreError;
use gateway_store::ledger::{Ledger, NewKey};

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Create a key and print it; it cannot be shown again
    Create {
        #[command(flatten)]
        config: ConfigFile,
        /// Whose key it is
        #[arg(short, long, value_parser = name)]
        tenant: Name,
        /// A note for yourself
        #[arg(short, long, value_parser = name)]
        name: Option<Name>,
    },
    /// List the keys that were created
    List {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Revoke a key
    #[command(allow_missing_positional = true)]
    Revoke {
        #[command(flatten)]
        config: ConfigFile,
        /// The key's id: the 12 characters after `sk-sealgate-`
        id: String,
    },
}

pub(super) async fn run(command: KeysCommand) -> ExitCode {
    credentials::report(match command {
        KeysCommand::Create {
            config,
            tenant,
            name,
        } => create(&config.path(), tenant, name).await,
        KeysCommand::List { config } => list(&config.path()).await,
        KeysCommand::Revoke { config, id } => revoke(&config.path(), id).await,
    })
}

/// Waits until a service that runs from `state_dir` has applied all changes so far. Returns whether it has; if none
/// runs, there is nothing to wait for.
async fn applied(ledger: &Ledger, state_dir: &Path) -> Result<bool, StoreError> {
    if !Ledger::is_served(state_dir) {
        return Ok(true);
    }
    let generation = ledger.keys().generation().await?;
    Ok(AppliedGeneration::in_directory(state_dir)
        .wait_for(generation, CONFIRM)
        .await)
}

async fn create(config: &Path, tenant: Name, name: Option<Name>) -> Result<(), CredentialError> {
    let (config, ledger) = credentials::open(config).await?;
    let (id, token) = ApiToken::generate()?;
    let key = NewKey {
        id: id.to_string(),
        tenant,
        name,
        digest: token.digest(),
        created_at: SystemClock.now(),
    };
    ledger.keys().add(&key).await?;
    let applied = applied(&ledger, &config.server.state_dir).await?;
    ledger.close().await;
    let purpose = format!("for {}", key.tenant);
    credentials::print_created(token.expose(), Kind::Api, &key.id, &purpose);
    if !applied {
        let waited = show_duration(CONFIRM);
        eprintln!("The running service has not confirmed it within {waited}; see its log.");
    }
    Ok(())
}

async fn list(config: &Path) -> Result<(), CredentialError> {
    let (_, ledger) = credentials::open(config).await?;
    let keys = ledger.keys().all().await?;
    ledger.close().await;
    let rows = keys.iter().map(|key| Row {
        id: &key.id,
        is_revoked: key.revoked_at.is_some(),
        created_at: key.created_at,
        holder: key.tenant.as_str(),
        name: key.name.as_ref(),
    });
    credentials::print_list(Column("TENANT", 16), rows);
    Ok(())
}

async fn revoke(config: &Path, id: String) -> Result<(), CredentialError> {
    let (config, ledger) = credentials::open(config).await?;
    let revoked = ledger.keys().revoke(&id, SystemClock.now()).await?;
    let applied = applied(&ledger, &config.server.state_dir).await?;
    ledger.close().await;
    if !revoked {
        let kind = Kind::Api;
        return Err(CredentialError::NotActive { kind, id });
    }
    if !applied {
        return Err(CredentialError::NotConfirmed { id });
    }
    eprintln!("Revoked key {id}. Requests with it are refused from now on.");
    Ok(())
}
