//! `sealgate budgets` and `sealgate credits`, written directly to the ledger.
//!
//! If a service runs from the same state directory, a command waits until the service has applied the change. What was
//! spent is read from the ledger: the last requests of a running service may not be in it yet, and reservations never are.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::ConfigFile;
use super::UNUSABLE;
use super::credentials::{self, CONFIRM, CredentialError};
use attest_channel::{Clock, SystemClock};
use attest_core::UnixTime;
use gateway_base::config::{ExpiryError, parse_expiry, show_duration};
use gateway_base::quota::{
    AccountKey, Amount, Budget, BudgetChanges, BudgetError, Grant, NumberedBudget, Spending, Spent,
};
use gateway_base::request::Name;
use gateway_store::StoreError;

#[derive(Subcommand)]
pub(super) enum BudgetsCommand {
    /// List budgets with what was spent of them
    List {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Create a budget, or change the terms of one; what is not given stays
    #[command(allow_missing_positional = true)]
    Set {
        #[command(flatten)]
        config: ConfigFile,
        /// The budget's id
        #[arg(value_parser = credentials::name)]
        id: Name,
        #[command(flatten)]
        members: Box<BudgetMembers>,
    },
    /// Remove a budget, and what was spent of it
    #[command(allow_missing_positional = true)]
    Remove {
        #[command(flatten)]
        config: ConfigFile,
        /// The budget's id
        #[arg(value_parser = credentials::name)]
        id: Name,
    },
}

#[derive(Subcommand)]
pub(super) enum CreditsCommand {
    /// List credits with what was spent of them
    List {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Add prepaid credit of a tenant or an organisation
    Add {
        #[command(flatten)]
        config: ConfigFile,
        /// Whose credit it is: tenant:NAME or organisation:NAME
        #[arg(long)]
        scope: String,
        /// How much, in the unit of the price table: 12.50
        #[arg(long, allow_hyphen_values = true)]
        amount: String,
        /// When the rest of it expires: a time (2027-01-31T12:00:00Z), a duration (90d), or never
        #[arg(long, value_name = "TIME", default_value = "never")]
        expires: String,
    },
}

/// The members of a budget. Scope, model, period and time zone are those of a new one.
#[derive(Args)]
pub(super) struct BudgetMembers {
    /// Whose requests count: total, organisation:NAME, tenant:NAME, user:TENANT#NAME or key:ID
    #[arg(long)]
    scope: Option<String>,
    /// Only requests for this model count
    #[arg(long)]
    model: Option<String>,
    /// day, week, month or total
    #[arg(long)]
    period: Option<String>,
    /// Where days begin: UTC or an offset such as +02:00
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    time_zone: Option<String>,
    /// The limit in the unit of the price table: 12.50
    #[arg(long, allow_hyphen_values = true)]
    money: Option<String>,
    /// The limit in tokens
    #[arg(long, allow_hyphen_values = true)]
    tokens: Option<i64>,
    /// The part of the limit after which the operator is notified; 70 unless given
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true)]
    soft_percent: Option<i64>,
    /// Whether requests are refused that it has no room for; true unless given
    #[arg(long, value_name = "BOOL")]
    hard: Option<bool>,
    /// Whether callers are shown what remains; false unless given
    #[arg(long, value_name = "BOOL")]
    visible: Option<bool>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Open(#[from] CredentialError),
    #[error("{0}")]
    Ledger(#[from] StoreError),
    #[error("{0}")]
    Budget(#[from] BudgetError),
    #[error("{0}")]
    Expiry(#[from] ExpiryError),
    #[error("there is no budget with the id {0}")]
    Unknown(Name),
    #[error(
        "the {member} of a budget cannot be changed, since what was spent would not fit: remove the budget and create it again"
    )]
    Fixed { member: &'static str },
    #[error(
        "the ledger has the change, but the running service has not confirmed it within {}; see its log",
        show_duration(CONFIRM)
    )]
    NotConfirmed,
}

fn report(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Open(error)) => credentials::report(Err(error)),
        Err(error) => {
            eprintln!("sealgate: {error}");
            match error {
                Failure::Budget(_)
                | Failure::Expiry(_)
                | Failure::Unknown(_)
                | Failure::Fixed { .. } => ExitCode::from(UNUSABLE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

pub(super) async fn run_budgets(command: BudgetsCommand) -> ExitCode {
    report(match command {
        BudgetsCommand::List { config } => list(&config.path()).await,
        BudgetsCommand::Set {
            config,
            id,
            members,
        } => set(&config.path(), id, *members).await,
        BudgetsCommand::Remove { config, id } => remove(&config.path(), id).await,
    })
}

pub(super) async fn run_credits(command: CreditsCommand) -> ExitCode {
    report(match command {
        CreditsCommand::List { config } => list_credits(&config.path()).await,
        CreditsCommand::Add {
            config,
            scope,
            amount,
            expires,
        } => add_credit(&config.path(), scope, amount, &expires).await,
    })
}

async fn set(config: &Path, id: Name, members: BudgetMembers) -> Result<(), Failure> {
    let terms = members.terms();
    let (config, ledger) = credentials::open(config).await?;
    let now = SystemClock.now();
    let all = ledger.budgets().all().await?;
    let known = all.into_iter().find(|one| one.budget.id == id);
    let done = match known {
        Some(known) => {
            members.check_fixed(&known.budget)?;
            let changes = BudgetChanges::read(&terms)?;
            let changed = ledger.budgets().change(&id, changes, now).await?;
            let changed = changed.ok_or(Failure::Unknown(id))?;
            format!("Changed budget {}", describe(&changed.budget))
        }
        None => {
            let budget = Budget::read(&members.all(&id, terms))?;
            ledger.budgets().add(&budget, now).await?;
            format!("Created budget {}", describe(&budget))
        }
    };
    let applied = credentials::applied(&ledger, &config.server.state_dir).await?;
    ledger.close().await;
    confirmed(applied, &done)
}

fn confirmed(applied: bool, done: &str) -> Result<(), Failure> {
    if !applied {
        return Err(Failure::NotConfirmed);
    }
    eprintln!("{done}.");
    Ok(())
}

async fn remove(config: &Path, id: Name) -> Result<(), Failure> {
    let (config, ledger) = credentials::open(config).await?;
    let removed = ledger.budgets().remove(&id, SystemClock.now()).await?;
    let applied = credentials::applied(&ledger, &config.server.state_dir).await?;
    ledger.close().await;
    if !removed {
        return Err(Failure::Unknown(id));
    }
    confirmed(applied, &format!("Removed budget {id}"))
}

async fn list(config: &Path) -> Result<(), Failure> {
    let (_, ledger) = credentials::open(config).await?;
    let budgets = ledger.budgets().all().await?;
    let spent = ledger.budgets().spent().await?;
    let now = ledger.clock().now();
    ledger.close().await;
    let line = |parts: [&str; 6]| {
        let [id, scope, model, period, limit, spent] = parts;
        let line = format!("{id:<20}  {scope:<24}  {model:<16}  {period:<6}  {limit:<16}  {spent}");
        println!("{}", line.trim_end());
    };
    line(["ID", "SCOPE", "MODEL", "PERIOD", "LIMIT", "SPENT"]);
    for numbered in &budgets {
        let budget = &numbered.budget;
        line([
            &budget.id,
            &budget.scope.to_string(),
            budget.model.as_ref().map_or("", Name::as_str),
            budget.period.as_str(),
            &budget.terms.limit.to_string(),
            &spent_now(numbered, &spent, now).to_string(),
        ]);
    }
    Ok(())
}

/// What was spent in the budget's window, in its unit.
fn spent_now(numbered: &NumberedBudget, spent: &[Spent], now: UnixTime) -> Amount {
    let budget = &numbered.budget;
    let window = budget.period.window(now, budget.offset);
    let found = spent.iter().rfind(|spent| {
        spent.account == AccountKey::Budget(numbered.number) && spent.window >= window.start
    });
    let amount = found.map_or(Spending::default(), |spent| spent.amount);
    match budget.terms.limit {
        Amount::Money(_) => Amount::Money(amount.money),
        Amount::Tokens(_) => Amount::Tokens(amount.tokens),
    }
}

async fn add_credit(
    config: &Path,
    scope: String,
    amount: String,
    expires: &str,
) -> Result<(), Failure> {
    let members = Map::from_iter([
        ("scope".to_owned(), Value::from(scope)),
        ("amount".to_owned(), Value::from(amount)),
    ]);
    let (mut grant, _) = Grant::read(&members)?;
    let now = SystemClock.now();
    grant.expires_at = parse_expiry(expires, now)?;
    let (config, ledger) = credentials::open(config).await?;
    ledger.budgets().grant(&grant, now).await?;
    let applied = credentials::applied(&ledger, &config.server.state_dir).await?;
    ledger.close().await;
    confirmed(
        applied,
        &format!("Added {} for {}", grant.amount, grant.scope),
    )
}

async fn list_credits(config: &Path) -> Result<(), Failure> {
    let (_, ledger) = credentials::open(config).await?;
    let credits = ledger.budgets().credits().await?;
    let spent = ledger.budgets().spent().await?;
    ledger.close().await;
    let line = |parts: [&str; 5]| {
        let [scope, amount, spent, granted, expires] = parts;
        let line = format!("{scope:<24}  {amount:<16}  {spent:<16}  {granted:<20}  {expires}");
        println!("{}", line.trim_end());
    };
    line(["SCOPE", "AMOUNT", "SPENT", "GRANTED", "EXPIRES"]);
    for credit in &credits {
        let account = AccountKey::Credit(credit.number);
        let found = spent.iter().find(|spent| spent.account == account);
        let amount = found.map_or(Spending::default(), |spent| spent.amount);
        let expires = credit.grant.expires_at;
        line([
            &credit.grant.scope.to_string(),
            &credit.grant.amount.to_string(),
            &amount.money.to_string(),
            &credit.granted_at.to_string(),
            &expires.map_or("never".to_owned(), |at| at.to_string()),
        ]);
    }
    Ok(())
}

impl BudgetMembers {
    fn terms(&self) -> Map<String, Value> {
        let members = [
            ("money", self.money.clone().map(Value::from)),
            ("tokens", self.tokens.map(Value::from)),
            ("soft_percent", self.soft_percent.map(Value::from)),
            ("hard", self.hard.map(Value::from)),
            ("visible", self.visible.map(Value::from)),
        ];
        given(members)
    }

    /// All members of a new budget.
    fn all(&self, id: &Name, mut terms: Map<String, Value>) -> Map<String, Value> {
        terms.extend(given([
            ("id", Some(id.as_str().into())),
            ("scope", self.scope.clone().map(Value::from)),
            ("model", self.model.clone().map(Value::from)),
            ("period", self.period.clone().map(Value::from)),
            ("time_zone", self.time_zone.clone().map(Value::from)),
        ]));
        terms
    }

    /// What was given and cannot be changed has to be as it is.
    fn check_fixed(&self, budget: &Budget) -> Result<(), Failure> {
        let model = budget.model.as_ref().map_or("", Name::as_str).to_owned();
        for (member, given, is) in [
            ("scope", &self.scope, budget.scope.to_string()),
            ("model", &self.model, model),
            ("period", &self.period, budget.period.to_string()),
            ("time zone", &self.time_zone, budget.offset.to_string()),
        ] {
            if given.as_ref().is_some_and(|given| *given != is) {
                return Err(Failure::Fixed { member });
            }
        }
        Ok(())
    }
}

fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let given = members.into_iter();
    given
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn describe(budget: &Budget) -> String {
    let Budget {
        id,
        scope,
        period,
        terms,
        ..
    } = budget;
    let hard = if terms.hard { "" } else { ", refuses nothing" };
    format!("{id}: {} of {scope} for each {period}{hard}", terms.limit)
}
