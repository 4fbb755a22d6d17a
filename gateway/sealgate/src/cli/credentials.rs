//! What the commands share that write directly to the ledger: opening it, waiting for the service, the table of a list, the
//! message about a created key, and the exit status.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use attest_core::UnixTime;

use super::{UNUSABLE, unusable};
use gateway_admin::AdminTokenError;
use gateway_base::config::{Config, ConfigError, show_duration};
use gateway_base::quota::LimitError;
use gateway_base::request::{Name, RestrictionError};
use gateway_path::admit::{AppliedGeneration, TokenError};
use gateway_store::StoreError;
use gateway_store::ledger::{DirectoryError, Ledger};

/// How long a running service may take to apply a change. It polls four times a second.
pub(super) const CONFIRM: Duration = Duration::from_secs(5);

/// The two kinds of keys, as messages name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Api,
    Admin,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Api => "key",
            Self::Admin => "admin key",
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Ledger(#[from] StoreError),
    #[error("{0}")]
    ApiToken(#[from] TokenError),
    #[error("{0}")]
    AdminToken(#[from] AdminTokenError),
    #[error("there is no active {kind} with the id {id}")]
    NotActive { kind: Kind, id: String },
    #[error("restrictions: {0}")]
    Restrictions(#[from] RestrictionError),
    #[error("{0}")]
    Directory(#[from] DirectoryError),
    #[error("the limit: {0}")]
    Limit(#[from] LimitError),
    #[error("there is no limit {id}")]
    NoLimit { id: String },
    #[error("nothing to change was given; see --help")]
    NothingToChange,
    #[error(
        "{done} {what} in the ledger, but the running service has not confirmed it within {}; see its log",
        show_duration(CONFIRM)
    )]
    NotConfirmed { done: &'static str, what: String },
}

/// Prints a failure and returns the exit status: 2 for what the operator can correct, 1 for everything else.
pub(super) fn report(outcome: Result<(), CredentialError>) -> ExitCode {
    let error = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(CredentialError::Config(error)) => return unusable(&error),
        Err(error) => error,
    };
    eprintln!("sealgate: {error}");
    match error {
        CredentialError::NotActive { .. }
        | CredentialError::Restrictions(_)
        | CredentialError::Limit(_)
        | CredentialError::NoLimit { .. }
        | CredentialError::NothingToChange => ExitCode::from(UNUSABLE),
        CredentialError::Directory(error) if !matches!(error, DirectoryError::Store(_)) => {
            ExitCode::from(UNUSABLE)
        }
        _ => ExitCode::FAILURE,
    }
}

/// The configuration and the ledger in its state directory, which a running service may have open as well.
pub(super) async fn open(config: &Path) -> Result<(Config, Ledger), CredentialError> {
    let config = Config::load(config)?;
    let ledger = Ledger::open_for_keys(&config.server.state_dir).await?;
    Ok((config, ledger))
}

/// Waits until a service that runs from `state_dir` has applied all changes so far. Returns whether it has; if none
/// runs, there is nothing to wait for.
pub(super) async fn applied(ledger: &Ledger, state_dir: &Path) -> Result<bool, StoreError> {
    if !Ledger::is_served(state_dir) {
        return Ok(true);
    }
    let generation = ledger.keys().generation().await?;
    Ok(AppliedGeneration::in_directory(state_dir)
        .wait_for(generation, CONFIRM)
        .await)
}

/// Prints a new key and what it is for.
pub(super) fn print_created(token: &str, kind: Kind, id: &str, purpose: &str) {
    // Only the key goes to standard output, so that it can be piped to where it belongs.
    println!("{token}");
    eprintln!("Created {kind} {id} {purpose}. It is shown only this once.");
}

/// The headings that the two lists do not share.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    pub holder: &'static str,
    pub width: usize,
    pub notes: &'static str,
}

/// One key in a list.
pub(super) struct Row<'a> {
    pub id: &'a str,
    /// At most seven characters.
    pub state: &'static str,
    pub created_at: UnixTime,
    /// The text below [`Columns::holder`].
    pub holder: &'a str,
    pub name: Option<&'a Name>,
    /// The text below [`Columns::notes`].
    pub notes: String,
}

pub(super) fn print_list<'a>(columns: Columns, rows: impl Iterator<Item = Row<'a>>) {
    let Columns {
        holder,
        width,
        notes,
    } = columns;
    let line = |parts: [&str; 6]| {
        let [id, state, created, holder, name, notes] = parts;
        let line =
            format!("{id:<12}  {state:<7}  {created:<20}  {holder:<width$}  {name:<16}  {notes}");
        println!("{}", line.trim_end());
    };
    line(["ID", "STATE", "CREATED", holder, "NAME", notes]);
    for row in rows {
        let created = row.created_at.to_string();
        let name = row.name.map_or("", Name::as_str);
        line([row.id, row.state, &created, row.holder, name, &row.notes]);
    }
}

/// A name, or an empty text that removes one.
#[derive(Clone, Debug)]
pub(super) struct OptionalName(Option<Name>);

impl OptionalName {
    pub(super) fn into_inner(self) -> Option<Name> {
        self.0
    }
}

pub(super) fn optional_name(text: &str) -> Result<OptionalName, String> {
    match text {
        "" => Ok(OptionalName(None)),
        text => name(text).map(|name| OptionalName(Some(name))),
    }
}

/// Parses a tenant's name or an operator's note.
pub(super) fn name(text: &str) -> Result<Name, String> {
    Name::from_operator(text).map_err(|reason| format!("the name {reason}"))
}
