//! `sealgate admin`: admin keys, written directly to the ledger.
//!
//! The first administrator is created by a user who can write the state directory. The key is printed once, when it is
//! created; only its digest is stored.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::keys::name;
use super::{ConfigFile, UNUSABLE, unusable};
use attest_channel::Clock;
use attest_channel::SystemClock;
use gateway_admin::{AdminToken, AdminTokenError};
use gateway_base::config::{Config, ConfigError};
use gateway_base::request::Name;
use gateway_store::ledger::{AdminRow, Ledger, LedgerError, Role};

#[derive(Subcommand)]
pub(super) enum AdminCommand {
    /// Create an admin key and print it; it cannot be shown again
    Create {
        #[command(flatten)]
        config: ConfigFile,
        /// read-only, auditor or operator; each may what the one before it may
        #[arg(short, long, value_parser = role)]
        role: Role,
        /// A note for yourself
        #[arg(short, long, value_parser = name)]
        name: Option<Name>,
    },
    /// List the admin keys that were created
    List {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Revoke an admin key; it counts no more with the next request
    #[command(allow_missing_positional = true)]
    Revoke {
        #[command(flatten)]
        config: ConfigFile,
        /// The key's id: the 12 characters after `sk-sealgate-admin-`
        id: String,
    },
}

#[derive(Debug, thiserror::Error)]
enum AdminError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("{0}")]
    Token(#[from] AdminTokenError),
    #[error("there is no active admin key with the id {0}")]
    NoSuchKey(String),
}

pub(super) async fn run(command: AdminCommand) -> ExitCode {
    let outcome = match command {
        AdminCommand::Create { config, role, name } => create(&config.path(), role, name).await,
        AdminCommand::List { config } => list(&config.path()).await,
        AdminCommand::Revoke { config, id } => revoke(&config.path(), &id).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(AdminError::Config(error)) => unusable(&error),
        Err(error @ AdminError::NoSuchKey(_)) => {
            eprintln!("sealgate: {error}");
            ExitCode::from(UNUSABLE)
        }
        Err(error) => {
            eprintln!("sealgate: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn open(config: &Path) -> Result<(Config, Ledger), AdminError> {
    let config = Config::load(config)?;
    let ledger = Ledger::open_for_keys(&config.server.state_dir).await?;
    Ok((config, ledger))
}

async fn create(config: &Path, role: Role, name: Option<Name>) -> Result<(), AdminError> {
    let (config, ledger) = open(config).await?;
    let token = AdminToken::generate()?;
    let admin = AdminRow {
        id: token.id().to_owned(),
        role,
        name,
        digest: token.digest(),
        created_at: SystemClock.now(),
        revoked_at: None,
    };
    ledger.add_administrator(&admin).await?;
    ledger.close().await;
    // The key alone goes to standard output, so that it can be piped to where it belongs.
    println!("{}", token.expose());
    eprintln!(
        "Created admin key {} with the role {role}. It is shown only this once.",
        admin.id
    );
    if config.admin.listen.is_none() {
        eprintln!("Nobody can use it yet: the configuration has no [admin] listen.");
    }
    Ok(())
}

async fn list(config: &Path) -> Result<(), AdminError> {
    let (_, ledger) = open(config).await?;
    let admins = ledger.administrators().await?;
    ledger.close().await;
    println!(
        "{:<12}  {:<7}  {:<20}  {:<9}  NAME",
        "ID", "STATE", "CREATED", "ROLE"
    );
    for admin in admins {
        let state = if admin.revoked_at.is_some() {
            "revoked"
        } else {
            "active"
        };
        let name = admin.name.as_ref().map_or("", Name::as_str);
        let (id, created) = (&admin.id, admin.created_at.to_string());
        println!(
            "{id:<12}  {state:<7}  {created:<20}  {:<9}  {name}",
            admin.role.as_str()
        );
    }
    Ok(())
}

async fn revoke(config: &Path, id: &str) -> Result<(), AdminError> {
    let (_, ledger) = open(config).await?;
    let revoked = ledger.revoke_administrator(id, SystemClock.now()).await?;
    ledger.close().await;
    if !revoked {
        return Err(AdminError::NoSuchKey(id.to_owned()));
    }
    eprintln!("Revoked admin key {id}. It counts no more with the next request.");
    Ok(())
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "the roles are read-only, auditor and operator".to_owned())
}
