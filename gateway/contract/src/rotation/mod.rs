//! Holds the active epoch and begins the next one.
//!
//! A new epoch begins when the operator requests a reload or sets another retention policy, before the active one
//! expires, and when the system's clock was set ([`Due`]). The new epoch is built completely before it replaces the old
//! one: if it cannot be built, the old one stays active, and a log event gives the reason.
//!
//! One task runs [`EpochRotation::run`] and is the only one that replaces the epoch; everything else reads it through a
//! `watch` channel.

mod reload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::check;
use crate::epoch::{Due, Epoch, EpochError, begin, renew};
use attest_channel::Clock;
use attest_core::log::EpochReason as Reason;
use gateway_base::config::{Config, Problem};
use gateway_base::events::{self, EpochFailure, EpochReason, Event, StartupSetting};
use gateway_base::metrics::Metrics;
use gateway_retention::{HistoryError, history};
use gateway_store::ledger::Ledger;

pub use reload::{ReloadOutcome, ReloadRequests};

/// How often the ledger is polled for a later policy, and the state directory for a reload request.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The pause after a renewal that failed.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// An operator's request to reload the configuration.
pub struct Reload;

/// The active epoch, and what is needed to begin the next.
pub struct EpochRotation {
    config_file: PathBuf,
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// The active epoch. Connections keep the `Arc` they began with, so replacing it disturbs none of them.
    current: watch::Sender<Arc<Epoch>>,
}

impl EpochRotation {
    /// Begins the first epoch.
    pub async fn start(
        config: Config,
        ledger: Arc<Ledger>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, EpochError> {
        let config_file = config.file.clone();
        let retention = history::activate(&ledger, &config.retention, clock.now()).await?;
        let config = Arc::new(config);
        let first = begin(
            config,
            Arc::new(retention),
            &ledger,
            &clock,
            &metrics,
            Reason::Start,
            None,
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

    /// The active epoch.
    pub fn current(&self) -> Arc<Epoch> {
        self.current.borrow().clone()
    }

    /// Whether clients can accept the active epoch: the current time is within the dates of its keyset and certificate.
    pub fn is_ready(&self) -> bool {
        self.current().lifetime().contains(self.clock.now())
    }

    /// Notifies of every new epoch.
    pub fn watch(&self) -> watch::Receiver<Arc<Epoch>> {
        self.current.subscribe()
    }

    /// Begins new epochs on request, when another retention policy was set and when due, until dropped.
    pub async fn run(&self, mut reload: mpsc::Receiver<Reload>) {
        let mut listening = true;
        let mut poll = PolicyPoll {
            last: None,
            refused: None,
        };
        loop {
            // Calculated in every round: the epoch may have been replaced in the last one.
            let due_in = self.current().lifetime().remaining(self.clock.moment());
            let requested = tokio::select! {
                // Its sender ends with the signal handler. Then `recv` would return at once, forever.
                request = reload.recv(), if listening => {
                    listening = request.is_some();
                    request.is_some()
                }
                // The clock can be set at any time, so a due epoch is not only waited for but polled.
                () = tokio::time::sleep(POLL_INTERVAL.min(due_in).max(Duration::from_millis(5))) => false,
            };
            if requested {
                self.reload().await;
            } else if let Some(due) = self.current().lifetime().due(self.clock.moment()) {
                let reason = match due {
                    Due::Expired => EpochReason::Expiry,
                    Due::ClockSet => EpochReason::Clock,
                };
                // Without a pause a renewal that keeps failing would be retried at once: it stays due.
                if !self.renew(reason).await {
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            } else if poll.is_due() {
                self.check_policy(&mut poll).await;
                self.answer_reload_request().await;
            }
        }
    }

    /// Begins an epoch if the ledger holds a later policy than the active one. A policy that is refused is not tried again.
    async fn check_policy(&self, poll: &mut PolicyPoll) {
        poll.last = Some(Instant::now());
        let Ok(last) = self.ledger.policies().last().await else {
            return;
        };
        if last > self.current().retention.policy().epoch()
            && poll.refused != Some(last)
            && !self.renew(EpochReason::Retention).await
        {
            poll.refused = Some(last);
        }
    }

    /// Reads the configuration again and begins an epoch under it, if [`check`] finds no problem.
    pub async fn reload(&self) -> ReloadOutcome {
        let file = self.config_file.clone();
        let loaded = tokio::task::spawn_blocking(move || Config::load(&file)).await;
        let config = match loaded {
            Ok(Ok(config)) => config,
            Ok(Err(error)) => return self.refuse(EpochFailure::Config, error.problems),
            Err(_) => return self.refuse(EpochFailure::Config, Vec::new()),
        };
        // Everything that can be refused without a change is refused before an epoch is built: building writes rows and
        // log entries.
        let changed = settings_needing_restart(&self.current().config, &config);
        if let Some((fixed, _)) = changed.first() {
            let problem = |(_, key): &(StartupSetting, &str)| {
                let reason = "was changed; that takes effect with a restart only";
                config.lines.problem(key, reason)
            };
            let problems = changed.iter().map(problem).collect();
            return self.refuse(EpochFailure::RestartNeeded(*fixed), problems);
        }
        // Read before the checks, which make no queries.
        let policies = match self.ledger.policies().all().await {
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
        // Log settings change only with a configuration that became active.
        let outcome = self.begin_under(config).await;
        if outcome.is_ok() {
            events::set_format_and_level(log.format, log.level);
        }
        let failure = self.activate(outcome, EpochReason::Reload).err();
        ReloadOutcome {
            epoch: self.current().number,
            began: failure.is_none(),
            failure: failure.map(|failure| failure.as_str().to_owned()),
            problems: Vec::new(),
            warnings,
        }
    }

    /// Keeps the active epoch, and logs each problem with its line in the file.
    fn refuse(&self, failure: EpochFailure, problems: Vec<Problem>) -> ReloadOutcome {
        for problem in &problems {
            events::emit(Event::ConfigProblem {
                file: self.config_file.clone(),
                problem: problem.clone(),
            });
        }
        let first = problems.first();
        self.log_kept(EpochReason::Reload, failure, first.cloned());
        ReloadOutcome {
            epoch: self.current().number,
            began: false,
            failure: Some(failure.as_str().to_owned()),
            problems,
            warnings: Vec::new(),
        }
    }

    /// Reloads if `sealgate reload` requested it, and writes the answer.
    async fn answer_reload_request(&self) {
        let requests = ReloadRequests::in_directory(&self.current().config.server.state_dir);
        let Some(id) = requests.take() else { return };
        let outcome = self.reload().await;
        // Without an answer the command times out and reports that.
        let _ = requests.answer(id, outcome);
    }

    async fn begin_under(&self, config: Config) -> Result<Epoch, EpochError> {
        let retention =
            history::activate(&self.ledger, &config.retention, self.clock.now()).await?;
        let (config, retention) = (Arc::new(config), Arc::new(retention));
        self.enter_deferred_receipts().await?;
        begin(
            config,
            retention,
            &self.ledger,
            &self.clock,
            &self.metrics,
            Reason::Reload,
            Some(&self.current().identities),
        )
        .await
    }

    /// Enters the receipts that the active epoch has not signed into the audit log, under a head of its key. From now on it
    /// signs every receipt.
    async fn enter_deferred_receipts(&self) -> Result<(), EpochError> {
        if self.current().stop_deferring() {
            self.ledger.audit().flush().await?;
        }
        Ok(())
    }

    async fn renew(&self, reason: EpochReason) -> bool {
        let current = self.current();
        let renewed = async {
            let authority = &current.config.retention.authority;
            let retention = Arc::new(history::latest_verified(&self.ledger, authority).await?);
            let logged = match reason {
                EpochReason::Retention => Reason::Retention,
                _ => Reason::Expiry,
            };
            self.enter_deferred_receipts().await?;
            renew(&current, retention, &self.ledger, &self.clock, logged).await
        };
        self.activate(renewed.await, reason).is_ok()
    }

    /// Makes a new epoch the active one, or logs why there is none.
    fn activate(
        &self,
        outcome: Result<Epoch, EpochError>,
        reason: EpochReason,
    ) -> Result<(), EpochFailure> {
        match outcome {
            Ok(epoch) => {
                let epoch = Arc::new(epoch);
                // Logged first, so that no event of a connection under it precedes its own.
                announce(&epoch, reason, &self.metrics);
                self.current.send_replace(epoch);
                Ok(())
            }
            Err(error) => {
                self.current().resume_deferring();
                let failure = failure(&error);
                let key = match &error {
                    EpochError::Retention(error) => error.key(),
                    EpochError::Authorization(_) => "authorization.policy",
                    EpochError::Routes(_) => "model",
                    EpochError::Names => "server.names",
                    _ => "server.state_dir",
                };
                let lines = &self.current().config.lines;
                let problem = lines.problem(key, error.to_string());
                self.log_kept(reason, failure, Some(problem));
                Err(failure)
            }
        }
    }

    /// Logs that the active epoch is kept, why, and which line of the configuration has to be corrected.
    fn log_kept(&self, reason: EpochReason, failure: EpochFailure, problem: Option<Problem>) {
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
        EpochError::Authorization(_) => EpochFailure::Config,
        EpochError::Routes(_) => EpochFailure::Routes,
        EpochError::Ledger(_) | EpochError::Retention(HistoryError::Ledger(_)) => {
            EpochFailure::Ledger
        }
        EpochError::Retention(_) => EpochFailure::Retention,
        EpochError::Keys
        | EpochError::Names
        | EpochError::Certificate { .. }
        | EpochError::Head { .. } => EpochFailure::Keys,
    }
}

/// When the ledger was last polled for a later policy, and which one was refused.
struct PolicyPoll {
    last: Option<Instant>,
    refused: Option<u64>,
}

impl PolicyPoll {
    fn is_due(&self) -> bool {
        self.last.is_none_or(|last| last.elapsed() >= POLL_INTERVAL)
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

/// Changed settings that take effect only with a restart, with their keys.
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
