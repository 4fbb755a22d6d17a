//! `sealgate limits`: rate limits, written directly to the ledger.
//!
//! If a service runs from the same state directory, a command waits until the service has applied the change.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::ConfigFile;
use super::credentials::{self, CredentialError, applied, name};
use attest_channel::{Clock, SystemClock};
use gateway_base::quota::{Limit, WindowCounts, WrittenLimit};
use gateway_base::request::Name;
use gateway_store::ledger::LimitRow;

#[derive(Subcommand)]
pub(super) enum LimitsCommand {
    /// List the limits
    List {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Set a limit, or replace the one of that id
    #[command(allow_missing_positional = true)]
    Set {
        #[command(flatten)]
        config: ConfigFile,
        /// What the limit is called, in refusals too
        #[arg(value_parser = name)]
        id: Name,
        #[command(flatten)]
        counts: Counts,
    },
    /// Remove a limit
    #[command(allow_missing_positional = true)]
    Remove {
        #[command(flatten)]
        config: ConfigFile,
        /// The limit's id
        #[arg(value_parser = name)]
        id: Name,
    },
}

#[derive(Args)]
pub(super) struct Counts {
    /// Whose requests count together: total, organisation:NAME, tenant:NAME, user:TENANT#NAME or key:ID
    #[arg(long, value_name = "SCOPE")]
    scope: String,
    /// Count requests for this model alone
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Requests in any minute
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    requests_per_minute: Option<i64>,
    /// Requests in any hour
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    requests_per_hour: Option<i64>,
    /// Requests in any 24 hours
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    requests_per_day: Option<i64>,
    /// Tokens in any minute
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    tokens_per_minute: Option<i64>,
    /// Tokens in any hour
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    tokens_per_hour: Option<i64>,
    /// Tokens in any 24 hours
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    tokens_per_day: Option<i64>,
    /// Requests in progress at one time
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    concurrent: Option<i64>,
}

impl Counts {
    fn read(self) -> Result<Limit, CredentialError> {
        let Counts {
            scope,
            model,
            requests_per_minute,
            requests_per_hour,
            requests_per_day,
            tokens_per_minute,
            tokens_per_hour,
            tokens_per_day,
            concurrent,
        } = self;
        let written = WrittenLimit {
            scope,
            model,
            requests_per_minute,
            requests_per_hour,
            requests_per_day,
            tokens_per_minute,
            tokens_per_hour,
            tokens_per_day,
            concurrent,
        };
        Ok(written.read()?)
    }
}

pub(super) async fn run(command: LimitsCommand) -> ExitCode {
    credentials::report(match command {
        LimitsCommand::List { config } => list(&config.path()).await,
        LimitsCommand::Set { config, id, counts } => set(&config.path(), id, counts).await,
        LimitsCommand::Remove { config, id } => remove(&config.path(), id).await,
    })
}

async fn list(config: &Path) -> Result<(), CredentialError> {
    let (_, ledger) = credentials::open(config).await?;
    let limits = ledger.limits().all().await?;
    ledger.close().await;
    println!("{:<24}  {:<32}  LIMITS", "ID", "SCOPE");
    for LimitRow { id, limit, .. } in limits {
        let scope = limit.scope.to_string();
        println!("{:<24}  {scope:<32}  {}", id.as_str(), describe(&limit));
    }
    Ok(())
}

fn describe(limit: &Limit) -> String {
    let model = limit
        .model
        .iter()
        .map(|model| format!("model={}", model.as_str()));
    let mut parts: Vec<String> = model.collect();
    for (what, counts) in [("requests", limit.requests), ("tokens", limit.tokens)] {
        let counts = WindowCounts::PERIODS.into_iter().zip(counts.counts());
        let set = counts.filter_map(|(period, count)| Some(format!("{what}/{period}={}", count?)));
        parts.extend(set);
    }
    parts.extend(limit.concurrent.map(|count| format!("concurrent={count}")));
    parts.join(" ")
}

async fn set(config: &Path, id: Name, counts: Counts) -> Result<(), CredentialError> {
    let limit = counts.read()?;
    let (config, ledger) = credentials::open(config).await?;
    let row = LimitRow {
        id,
        limit,
        changed_at: SystemClock.now(),
    };
    ledger.limits().set(&row).await?;
    let applied = applied(&ledger, &config.server.state_dir).await?;
    ledger.close().await;
    let LimitRow { id, limit, .. } = row;
    if !applied {
        let (done, id) = ("set", id.to_string());
        let what = format!("limit {id}");
        return Err(CredentialError::NotConfirmed { done, what });
    }
    let scope = &limit.scope;
    eprintln!("Set limit {}: {scope} {}.", id.as_str(), describe(&limit));
    Ok(())
}

async fn remove(config: &Path, id: Name) -> Result<(), CredentialError> {
    let (config, ledger) = credentials::open(config).await?;
    let removed = ledger.limits().remove(&id, SystemClock.now()).await?;
    let applied = applied(&ledger, &config.server.state_dir).await?;
    ledger.close().await;
    let id = id.to_string();
    if !removed {
        return Err(CredentialError::NoLimit { id });
    }
    if !applied {
        let done = "removed";
        let what = format!("limit {id}");
        return Err(CredentialError::NotConfirmed { done, what });
    }
    eprintln!("Removed limit {id}.");
    Ok(())
}
