//! `sealgate keys`: API keys, written directly to the ledger.
//!
//! If a service runs from the same state directory, the command waits until the service has applied the change. The key
//! is printed once, when it is created; only its digest is stored.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use super::ConfigFile;
use super::credentials::{
    self, CONFIRM, Columns, CredentialError, Kind, OptionalName, Row, applied, name, optional_name,
};
use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_core::UnixTime;
use gateway_base::config::{ExpiryError, parse_expiry, parse_overlap, show_duration};
use gateway_base::request::{Name, RestrictionChanges, Restrictions, WrittenRestrictions};
use gateway_path::admit::ApiToken;
use gateway_store::ledger::{KeyChanges, KeyRow, NewKey, Replacement};

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Create a key and print it; it cannot be shown again
    Create {
        #[command(flatten)]
        config: ConfigFile,
        /// Whose key it is
        #[arg(short, long, value_parser = name)]
        tenant: Name,
        /// The user or service account of the tenant that it belongs to
        #[arg(short, long, value_parser = name)]
        user: Option<Name>,
        /// A note for yourself
        #[arg(short, long, value_parser = name)]
        name: Option<Name>,
        #[command(flatten)]
        rights: Rights,
    },
    /// Change a key; what is not given stays
    #[command(allow_missing_positional = true)]
    Change {
        #[command(flatten)]
        config: ConfigFile,
        /// The key's id: the 12 characters after `sk-sealgate-`
        id: String,
        /// The user or service account of the tenant that it belongs to; "" for none
        #[arg(short, long, value_parser = optional_name)]
        user: Option<OptionalName>,
        /// A note for yourself
        #[arg(short, long, value_parser = name)]
        name: Option<Name>,
        #[command(flatten)]
        rights: Rights,
    },
    /// Refuse requests with a key until it is unblocked
    #[command(allow_missing_positional = true)]
    Block {
        #[command(flatten)]
        config: ConfigFile,
        /// The key's id: the 12 characters after `sk-sealgate-`
        id: String,
    },
    /// Accept requests with a blocked key again
    #[command(allow_missing_positional = true)]
    Unblock {
        #[command(flatten)]
        config: ConfigFile,
        /// The key's id: the 12 characters after `sk-sealgate-`
        id: String,
    },
    /// Create a key that replaces another one, with the same rights, and print it
    #[command(allow_missing_positional = true)]
    Rotate {
        #[command(flatten)]
        config: ConfigFile,
        /// The id of the key to be replaced: the 12 characters after `sk-sealgate-`
        id: String,
        /// How long the replaced key stays valid, as 24h
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = overlap)]
        overlap: Duration,
        /// When the new key expires: a time (2027-01-31T12:00:00Z), a duration (90d), or never
        #[arg(long, value_name = "TIME", default_value = "never", value_parser = expiry)]
        expires: Expiry,
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

/// What a key may be used for.
#[derive(clap::Args)]
pub(super) struct Rights {
    /// When it expires: a time (2027-01-31T12:00:00Z), a duration (90d), or never
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Option<Expiry>,
    /// A model that requests may name, with * for any characters; repeatable; "*" for every model
    #[arg(long = "model", value_name = "PATTERN")]
    models: Option<Vec<String>>,
    /// An endpoint: chat, completions, embeddings; repeatable; "*" for every endpoint
    #[arg(long = "endpoint", value_name = "ENDPOINT")]
    endpoints: Option<Vec<String>>,
    /// A network that requests may come from, as 192.0.2.0/24; repeatable; "*" for every network
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Option<Vec<String>>,
    /// Whether only verified upstreams may serve the requests
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    verified_only: Option<bool>,
    /// The most that may be kept of a request: zero, metadata or content
    #[arg(long, value_name = "MODE")]
    retention: Option<String>,
}

impl Rights {
    fn read(self) -> Result<(Option<Expiry>, RestrictionChanges), CredentialError> {
        let written = WrittenRestrictions {
            models: self.models,
            endpoints: self.endpoints,
            networks: self.networks,
            verified_only: self.verified_only,
            retention: self.retention,
        };
        Ok((self.expires, written.read()?))
    }
}

/// When a key expires; `None`: never.
#[derive(Clone, Copy)]
pub(super) struct Expiry(Option<UnixTime>);

fn expiry(text: &str) -> Result<Expiry, ExpiryError> {
    parse_expiry(text, SystemClock.now()).map(Expiry)
}

fn overlap(text: &str) -> Result<Duration, ExpiryError> {
    parse_overlap(text)
}

pub(super) async fn run(command: KeysCommand) -> ExitCode {
    credentials::report(match command {
        KeysCommand::Create {
            config,
            tenant,
            user,
            name,
            rights,
        } => create(&config.path(), (tenant, user), name, rights).await,
        KeysCommand::Change {
            config,
            id,
            user,
            name,
            rights,
        } => change_rights(&config.path(), id, (user, name), rights).await,
        KeysCommand::Block { config, id } => block(&config.path(), id, true).await,
        KeysCommand::Unblock { config, id } => block(&config.path(), id, false).await,
        KeysCommand::Rotate {
            config,
            id,
            overlap,
            expires,
        } => rotate(&config.path(), id, overlap, expires).await,
        KeysCommand::List { config } => list(&config.path()).await,
        KeysCommand::Revoke { config, id } => revoke(&config.path(), id).await,
    })
}

async fn create(
    config: &Path,
    (tenant, user): (Name, Option<Name>),
    name: Option<Name>,
    rights: Rights,
) -> Result<(), CredentialError> {
    let (expires, changes) = rights.read()?;
    let mut restrictions = Restrictions::default();
    changes.apply(&mut restrictions);
    let (config, ledger) = credentials::open(config).await?;
    let (id, token) = ApiToken::generate()?;
    let key = NewKey {
        id: id.to_string(),
        tenant,
        user,
        name,
        digest: token.digest(),
        created_at: SystemClock.now(),
        expires_at: expires.and_then(|Expiry(at)| at),
        restrictions,
    };
    let key = ledger.keys().add(key).await?;
    let applied = applied(&ledger, &config.server.state_dir).await?;
    ledger.close().await;
    print_created(&key, &token, applied);
    Ok(())
}

fn print_created(key: &KeyRow, token: &ApiToken, applied: bool) {
    let purpose = format!("for {}", holder(key));
    credentials::print_created(token.expose(), Kind::Api, &key.id, &purpose);
    if let Some(at) = key.expires_at {
        eprintln!("It expires at {at}.");
    }
    if !applied {
        let waited = show_duration(CONFIRM);
        eprintln!("The running service has not confirmed it within {waited}; see its log.");
    }
}

/// The tenant, or the user of the tenant.
fn holder(key: &KeyRow) -> String {
    match &key.user {
        Some(user) => format!("{user} of {}", key.tenant),
        None => key.tenant.to_string(),
    }
}

async fn change_rights(
    config: &Path,
    id: String,
    (user, name): (Option<OptionalName>, Option<Name>),
    rights: Rights,
) -> Result<(), CredentialError> {
    let (expires, restrictions) = rights.read()?;
    let changes = KeyChanges {
        name,
        user: user.map(OptionalName::into_inner),
        expires_at: expires.map(|Expiry(at)| at),
        blocked: None,
        restrictions,
    };
    if changes == KeyChanges::default() {
        return Err(CredentialError::NothingToChange);
    }
    let key = change(config, id, changes).await?;
    eprintln!("Changed key {}: {}.", key.id, describe(&key));
    Ok(())
}

async fn block(config: &Path, id: String, blocked: bool) -> Result<(), CredentialError> {
    let changes = KeyChanges {
        blocked: Some(blocked),
        ..KeyChanges::default()
    };
    let key = change(config, id, changes).await?;
    let (done, what) = match blocked {
        true => ("Blocked", "refused until it is unblocked"),
        false => ("Unblocked", "accepted again"),
    };
    eprintln!("{done} key {}. Requests with it are {what}.", key.id);
    Ok(())
}

/// Changes a key, and waits until a running service has applied it.
async fn change(config: &Path, id: String, changes: KeyChanges) -> Result<KeyRow, CredentialError> {
    let (config, ledger) = credentials::open(config).await?;
    let now = SystemClock.now();
    let changed = ledger.keys().change(&id, now, changes).await?;
    let applied = applied(&ledger, &config.server.state_dir).await?;
    ledger.close().await;
    let Some(key) = changed else {
        let kind = Kind::Api;
        return Err(CredentialError::NotActive { kind, id });
    };
    if !applied {
        let done = "changed";
        let what = format!("key {id}");
        return Err(CredentialError::NotConfirmed { done, what });
    }
    Ok(key)
}

async fn rotate(
    config: &Path,
    id: String,
    overlap: Duration,
    Expiry(expires_at): Expiry,
) -> Result<(), CredentialError> {
    let (config, ledger) = credentials::open(config).await?;
    let (new_id, token) = ApiToken::generate()?;
    let now = SystemClock.now();
    let replacement = Replacement {
        id: new_id.to_string(),
        digest: token.digest(),
        created_at: now,
        expires_at,
    };
    let ends = now.plus(overlap);
    let rotated = ledger.keys().rotate(&id, replacement, ends).await?;
    let applied = applied(&ledger, &config.server.state_dir).await?;
    ledger.close().await;
    let Some(key) = rotated else {
        let kind = Kind::Api;
        return Err(CredentialError::NotActive { kind, id });
    };
    print_created(&key, &token, applied);
    eprintln!("It replaces {id}, which is accepted until {ends} at the latest.");
    Ok(())
}

async fn list(config: &Path) -> Result<(), CredentialError> {
    let (_, ledger) = credentials::open(config).await?;
    let keys = ledger.keys().all().await?;
    ledger.close().await;
    let now = SystemClock.now();
    let rows = keys.iter().map(|key| Row {
        id: &key.id,
        state: state(key, now),
        created_at: key.created_at,
        holder: key.tenant.as_str(),
        name: key.name.as_ref(),
        notes: describe(key),
    });
    let columns = Columns {
        holder: "TENANT",
        width: 16,
        notes: "RESTRICTIONS",
    };
    credentials::print_list(columns, rows);
    Ok(())
}

fn state(key: &KeyRow, now: UnixTime) -> &'static str {
    if key.revoked_at.is_some() {
        "revoked"
    } else if key.expires_at.is_some_and(|at| at <= now) {
        "expired"
    } else if key.blocked_at.is_some() {
        "blocked"
    } else {
        "active"
    }
}

/// Whose it is in the tenant, when it expires and what it is restricted to.
fn describe(key: &KeyRow) -> String {
    let user = key.user.as_ref().map(|user| format!("user={user}"));
    let expires = key.expires_at.map(|at| format!("expires={at}"));
    let parts: Vec<String> = user
        .into_iter()
        .chain(expires)
        .chain(key.restrictions.summary())
        .collect();
    match parts.is_empty() {
        true => "no restrictions".to_owned(),
        false => parts.join(" "),
    }
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
        let done = "revoked";
        let what = format!("key {id}");
        return Err(CredentialError::NotConfirmed { done, what });
    }
    eprintln!("Revoked key {id}. Requests with it are refused from now on.");
    Ok(())
}
