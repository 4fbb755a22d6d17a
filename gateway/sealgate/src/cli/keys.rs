//! `sealgate keys`: API keys, written directly to the ledger.
//!
//! If a service runs from the same state directory, the command waits until the service has applied the change. The key
//! is printed once, when it is created; only its digest is stored.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use super::{ConfigFile, UNUSABLE, unusable};
use attest_channel::Clock;
use attest_channel::SystemClock;
use gateway_base::config::{Config, ConfigError, show_duration};
use gateway_base::request::Name;
use gateway_path::admit::{ApiToken, Applied, TokenError};
use gateway_store::ledger::{KeyRow, Ledger, LedgerError, NewKey};

/// How long a running service may take to apply a change. It looks four times a second.
const CONFIRM: Duration = Duration::from_secs(5);

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

#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error(
        "revoked key {id} in the ledger, but the running service has not confirmed it within {}; see its log",
        show_duration(CONFIRM)
    )]
    NotConfirmed { id: String },
    #[error("there is no active key with the id {0}")]
    NoSuchKey(String),
}

pub(super) async fn run(command: KeysCommand) -> ExitCode {
    let outcome = match command {
        KeysCommand::Create {
            config,
            tenant,
            name,
        } => create(&config.path(), tenant, name).await,
        KeysCommand::List { config } => list(&config.path()).await,
        KeysCommand::Revoke { config, id } => revoke(&config.path(), &id).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(KeysError::Config(error)) => unusable(&error),
        Err(error @ KeysError::NoSuchKey(_)) => {
            eprintln!("sealgate: {error}");
            ExitCode::from(UNUSABLE)
        }
        Err(error) => {
            eprintln!("sealgate: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn open(config: &Path) -> Result<(Ledger, PathBuf), KeysError> {
    let config = Config::load(config)?;
    let state_dir = config.server.state_dir;
    Ok((Ledger::open_for_keys(&state_dir).await?, state_dir))
}

/// Waits until a service that runs from `state_dir` has applied all changes so far. Returns whether it has; where none
/// runs there is nothing to wait for.
async fn applied(ledger: &Ledger, state_dir: &Path) -> Result<bool, LedgerError> {
    if !Ledger::is_served(state_dir) {
        return Ok(true);
    }
    let generation = ledger.key_generation().await?;
    Ok(Applied::of(state_dir).reached(generation, CONFIRM).await)
}

async fn create(config: &Path, tenant: Name, name: Option<Name>) -> Result<(), KeysError> {
    let (ledger, state_dir) = open(config).await?;
    let (id, token) = ApiToken::generate()?;
    let key = NewKey {
        id: id.to_string(),
        tenant,
        name,
        digest: token.digest(),
        created_at: SystemClock.now(),
    };
    ledger.add_key(&key).await?;
    let applied = applied(&ledger, &state_dir).await?;
    ledger.close().await;
    // The key alone goes to standard output, so that it can be piped to where it belongs.
    println!("{}", token.expose());
    eprintln!(
        "Created key {id} for {}. It is shown only this once.",
        key.tenant
    );
    if !applied {
        let waited = show_duration(CONFIRM);
        eprintln!("The running service has not confirmed it within {waited}; see its log.");
    }
    Ok(())
}

async fn list(config: &Path) -> Result<(), KeysError> {
    let (ledger, _) = open(config).await?;
    let keys = ledger.keys().await?;
    ledger.close().await;
    println!(
        "{:<12}  {:<7}  {:<20}  {:<16}  NAME",
        "ID", "STATE", "CREATED", "TENANT"
    );
    for KeyRow {
        id,
        tenant,
        name,
        created_at,
        revoked_at,
        ..
    } in keys
    {
        let state = if revoked_at.is_some() {
            "revoked"
        } else {
            "active"
        };
        let name = name.as_ref().map_or("", Name::as_str);
        let (created, tenant) = (created_at.to_string(), tenant.as_str());
        println!("{id:<12}  {state:<7}  {created:<20}  {tenant:<16}  {name}");
    }
    Ok(())
}

async fn revoke(config: &Path, id: &str) -> Result<(), KeysError> {
    let (ledger, state_dir) = open(config).await?;
    let revoked = ledger.revoke_key(id, SystemClock.now()).await?;
    let applied = applied(&ledger, &state_dir).await?;
    ledger.close().await;
    if !revoked {
        return Err(KeysError::NoSuchKey(id.to_owned()));
    }
    if !applied {
        return Err(KeysError::NotConfirmed { id: id.to_owned() });
    }
    eprintln!("Revoked key {id}. Requests with it are refused from now on.");
    Ok(())
}

pub(super) fn name(text: &str) -> Result<Name, String> {
    Name::from_operator(text).map_err(|reason| format!("the name {reason}"))
}
