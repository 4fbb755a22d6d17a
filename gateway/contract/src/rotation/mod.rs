//! Who holds the current epoch and begins the next.
//!
//! A new epoch begins when the operator asks for a reload or sets another retention policy, and by itself before the
//! current one expires, or when the system's clock was set ([`Due`]). Everything is built before anything changes: if it cannot be built, the epoch in force stays in force, and the log says why.

mod reload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use attest_core::log::EpochReason as Reason;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::check;
use crate::epoch::{Due, Epoch, EpochError, begin, renew};
use attest_channel::Clock;
use gateway_base::config::{Config, Problem};
use gateway_base::events::{self, EpochFailure, EpochReason, Event, StartupSetting};
use gateway_base::metrics::Metrics;
use gateway_retention::{HistoryError, history};
use gateway_store::ledger::Ledger;

pub use reload::{ReloadOutcome, ReloadRequests};

/// A policy that an operator set counts within this time.
const POLICY_LOOK: Duration = Duration::from_millis(250);
/// After a failed attempt to renew.
const RETRY: Duration = Duration::from_secs(5);

/// An operator's wish for a new epoch.
pub struct Reload;

pub struct Keeper {
    config_file: PathBuf,
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    current: watch::Sender<Arc<Epoch>>,
}

impl Keeper {
    /// Begins the first epoch.
    pub async fn start(
        config: Config,
        ledger: Arc<Ledger>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, EpochError> {
        let config_file = config.file.clone();
        let retention = history::take_up(&ledger, &config.retention, clock.now()).await?;
        let config = Arc::new(config);
        let first = begin(
            config,
            Arc::new(retention),
            &ledger,
            &clock,
            &metrics,
            Reason::Start,
        )
        .await?;
        let first = Arc::new(first);
        announce(&first, EpochReason::Start, &metrics);
        Ok(Self {
            config_file,
            ledger,
            clock,
            metrics,
            current: watch::Sender::new(first),
        })
    }

    /// The epoch in force.
    pub fn current(&self) -> Arc<Epoch> {
        self.current.borrow().clone()
    }

    /// Whether the epoch in force can be served under: the dates of its keyset and certificate contain the time.
    pub fn is_ready(&self) -> bool {
        self.current().lifetime().contains(self.clock.now())
    }

    /// Tells of every new epoch.
    pub fn watch(&self) -> watch::Receiver<Arc<Epoch>> {
        self.current.subscribe()
    }

    /// Begins new epochs when asked, when another retention policy was set and when due, until dropped.
    pub async fn run(&self, mut reload: mpsc::Receiver<Reload>) {
        let mut listening = true;
        let mut looked = Looked {
            at: None,
            refused: None,
        };
        loop {
            let due_in = self.current().lifetime().left(self.clock.moment());
            let asked = tokio::select! {
                wish = reload.recv(), if listening => {
                    listening = wish.is_some();
                    wish.is_some()
                }
                () = tokio::time::sleep(POLICY_LOOK.min(due_in).max(Duration::from_millis(5))) => false,
            };
            if asked {
                self.reload().await;
            } else if let Some(due) = self.current().lifetime().due(self.clock.moment()) {
                let reason = match due {
                    Due::Expired => EpochReason::Expiry,
                    Due::ClockSet => EpochReason::Clock,
                };
                if !self.renew(reason).await {
                    tokio::time::sleep(RETRY).await;
                }
            } else if looked.is_due() {
                self.look_for_policy(&mut looked).await;
                self.answer_requests().await;
            }
        }
    }

    /// Begins an epoch if the ledger holds a later policy than the one in force, once for each.
    async fn look_for_policy(&self, looked: &mut Looked) {
        looked.at = Some(Instant::now());
        let Ok(last) = self.ledger.last_policy().await else {
            return;
        };
        if last > self.current().retention.policy().epoch()
            && looked.refused != Some(last)
            && !self.renew(EpochReason::Retention).await
        {
            looked.refused = Some(last);
        }
    }

    /// Reads the configuration again and begins an epoch under it, if [`check`] finds nothing in the way.
    pub async fn reload(&self) -> ReloadOutcome {
        let file = self.config_file.clone();
        let loaded = tokio::task::spawn_blocking(move || Config::load(&file)).await;
        let config = match loaded {
            Ok(Ok(config)) => config,
            Ok(Err(error)) => return self.refuse(EpochFailure::Config, error.problems),
            Err(_) => return self.refuse(EpochFailure::Config, Vec::new()),
        };
        let changed = settings_needing_restart(&self.current().config, &config);
        if let Some((fixed, _)) = changed.first() {
            let problem = |(_, key): &(StartupSetting, &str)| {
                let reason = "was changed; that takes effect with a restart only";
                config.lines.problem(key, reason)
            };
            let problems = changed.iter().map(problem).collect();
            return self.refuse(EpochFailure::RestartNeeded(*fixed), problems);
        }
        let policies = match self.ledger.policies().await {
            Ok(policies) => policies,
            Err(_) => return self.refuse(EpochFailure::Ledger, Vec::new()),
        };
        let problems = check::problems(&config, &policies);
        if !problems.is_empty() {
            return self.refuse(EpochFailure::Config, problems);
        }
        let warnings = check::warnings(&config);
        for warning in &warnings {
            events::emit(Event::ConfigWarning {
                file: self.config_file.clone(),
                problem: warning.clone(),
            });
        }
        let log = config.log.clone();
        let outcome = self.begin_under(config).await;
        if outcome.is_ok() {
            events::set_format_and_level(log.format, log.level);
        }
        let failure = self.settle(outcome, EpochReason::Reload).err();
        ReloadOutcome {
            epoch: self.current().number,
            began: failure.is_none(),
            failure: failure.map(|failure| failure.as_str().to_owned()),
            problems: Vec::new(),
            warnings,
        }
    }

    /// Stays with the epoch in force, and logs each problem with its place in the file.
    fn refuse(&self, failure: EpochFailure, problems: Vec<Problem>) -> ReloadOutcome {
        for problem in &problems {
            events::emit(Event::ConfigProblem {
                file: self.config_file.clone(),
                problem: problem.clone(),
            });
        }
        let first = problems.first();
        self.keep(EpochReason::Reload, failure, first.cloned());
        ReloadOutcome {
            epoch: self.current().number,
            began: false,
            failure: Some(failure.as_str().to_owned()),
            problems,
            warnings: Vec::new(),
        }
    }

    /// Reloads if `sealgate reload` asked for it, and answers.
    async fn answer_requests(&self) {
        let requests = ReloadRequests::of(&self.current().config.server.state_dir);
        let Some(id) = requests.take() else { return };
        let outcome = self.reload().await;
        // Who asked finds no answer and says so.
        let _ = requests.settle(id, outcome);
    }

    async fn begin_under(&self, config: Config) -> Result<Epoch, EpochError> {
        let retention = history::take_up(&self.ledger, &config.retention, self.clock.now()).await?;
        let (config, retention) = (Arc::new(config), Arc::new(retention));
        begin(
            config,
            retention,
            &self.ledger,
            &self.clock,
            &self.metrics,
            Reason::Reload,
        )
        .await
    }

    async fn renew(&self, reason: EpochReason) -> bool {
        let current = self.current();
        let renewed = async {
            let authority = &current.config.retention.authority;
            let retention = Arc::new(history::follow(&self.ledger, authority).await?);
            let logged = match reason {
                EpochReason::Retention => Reason::Retention,
                _ => Reason::Expiry,
            };
            renew(&current, retention, &self.ledger, &self.clock, logged).await
        };
        self.settle(renewed.await, reason).is_ok()
    }

    fn settle(
        &self,
        outcome: Result<Epoch, EpochError>,
        reason: EpochReason,
    ) -> Result<(), EpochFailure> {
        match outcome {
            Ok(epoch) => {
                let epoch = Arc::new(epoch);
                announce(&epoch, reason, &self.metrics);
                self.current.send_replace(epoch);
                Ok(())
            }
            Err(error) => {
                let failure = failure(&error);
                let key = match &error {
                    EpochError::Retention(error) => error.key(),
                    EpochError::Routes(_) => "model",
                    EpochError::Names => "server.names",
                    _ => "server.state_dir",
                };
                let lines = &self.current().config.lines;
                let problem = lines.problem(key, error.to_string());
                self.keep(reason, failure, Some(problem));
                Err(failure)
            }
        }
    }

    /// Logs that the epoch in force stays, why, and where in the configuration that is to be mended.
    fn keep(&self, reason: EpochReason, failure: EpochFailure, problem: Option<Problem>) {
        events::emit(Event::EpochKept {
            epoch: self.current().number,
            reason,
            failure,
            file: self.config_file.clone(),
            problem,
        });
    }
}

fn failure(error: &EpochError) -> EpochFailure {
    match error {
        EpochError::Routes(_) => EpochFailure::Routes,
        EpochError::Ledger(_) | EpochError::Retention(HistoryError::Ledger(_)) => {
            EpochFailure::Ledger
        }
        EpochError::Retention(_) => EpochFailure::Retention,
        EpochError::Keys | EpochError::Names | EpochError::Certificate { .. } => EpochFailure::Keys,
    }
}

/// When the ledger was last asked for a later policy, and which one was refused.
struct Looked {
    at: Option<Instant>,
    refused: Option<u64>,
}

impl Looked {
    fn is_due(&self) -> bool {
        self.at.is_none_or(|at| at.elapsed() >= POLICY_LOOK)
    }
}

fn announce(epoch: &Epoch, reason: EpochReason, metrics: &Metrics) {
    metrics
        .epoch
        .set(i64::try_from(epoch.number).unwrap_or(i64::MAX));
    events::emit(Event::EpochBegan {
        epoch: epoch.number,
        keyset: epoch.keyset_digest,
        config: epoch.config_digest,
        retention: epoch.retention.policy().digest(),
        reason,
    });
}

/// What was changed that a running service cannot take up, and the key that says so.
fn settings_needing_restart(old: &Config, new: &Config) -> Vec<(StartupSetting, &'static str)> {
    let server = &old.server;
    let all = [
        (server.listen != new.server.listen, StartupSetting::Listen),
        (
            server.state_dir != new.server.state_dir,
            StartupSetting::StateDir,
        ),
        (old.tee != new.tee, StartupSetting::Tee),
        (old.health != new.health, StartupSetting::Health),
        (old.metrics != new.metrics, StartupSetting::Metrics),
        (old.admin != new.admin, StartupSetting::Admin),
        (old.receipts != new.receipts, StartupSetting::Receipts),
        (old.ledger != new.ledger, StartupSetting::Ledger),
        (old.hardening != new.hardening, StartupSetting::Hardening),
        (old.telemetry != new.telemetry, StartupSetting::Telemetry),
    ];
    let changed = all.into_iter().filter(|(changed, _)| *changed);
    changed.map(|(_, fixed)| (fixed, fixed.key())).collect()
}
