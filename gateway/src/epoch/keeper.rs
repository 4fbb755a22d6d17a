//! Who holds the current epoch and begins the next.
//!
//! A new epoch begins when the operator asks for a reload, and by itself before the current one expires. Everything
//! is built before anything changes: if it cannot be built, the epoch in force stays in force, and the log says why.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use attest_core::log::EpochReason as Reason;
use tokio::sync::{mpsc, watch};

use super::{Epoch, EpochError, begin, renew};
use crate::Clock;
use crate::config::Config;
use crate::events::{self, EpochFailure, EpochReason, Event, Fixed};
use crate::ledger::Ledger;
use crate::metrics::Metrics;

/// The clock is looked at least this often, since it may be set.
const LOOK: Duration = Duration::from_secs(30);
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
        let first =
            Arc::new(begin(Arc::new(config), &ledger, &clock, &metrics, Reason::Start).await?);
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

    /// Whether the epoch in force can be served under: its keyset has not expired.
    pub fn is_ready(&self) -> bool {
        self.clock.now() < self.current().not_after
    }

    /// Tells of every new epoch.
    pub fn watch(&self) -> watch::Receiver<Arc<Epoch>> {
        self.current.subscribe()
    }

    /// Begins new epochs when asked and when due, until the other end of `reload` is gone.
    pub async fn run(&self, mut reload: mpsc::Receiver<Reload>) {
        let mut wait = LOOK;
        let mut listening = true;
        loop {
            let due_in = self
                .current()
                .renew_at
                .since(self.clock.now())
                .unwrap_or(Duration::ZERO);
            let asked = tokio::select! {
                wish = reload.recv(), if listening => {
                    listening = wish.is_some();
                    wish.is_some()
                }
                () = tokio::time::sleep(wait.min(due_in).max(Duration::from_millis(5))) => false,
            };
            wait = LOOK;
            if asked {
                self.reload().await;
            } else if self.clock.now() >= self.current().renew_at && !self.renew().await {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Reads the configuration anew and begins an epoch under it.
    pub async fn reload(&self) -> bool {
        let file = self.config_file.clone();
        let loaded = tokio::task::spawn_blocking(move || Config::load(&file)).await;
        let config = match loaded {
            Ok(Ok(config)) => config,
            Ok(Err(error)) => {
                for problem in error.problems {
                    events::emit(Event::ConfigProblem { problem });
                }
                return self.keep(EpochReason::Reload, EpochFailure::Config);
            }
            Err(_) => return self.keep(EpochReason::Reload, EpochFailure::Config),
        };
        if let Some(fixed) = changed_for_good(&self.current().config, &config) {
            return self.keep(EpochReason::Reload, EpochFailure::RestartNeeded(fixed));
        }
        let log = config.log.clone();
        let outcome = begin(
            Arc::new(config),
            &self.ledger,
            &self.clock,
            &self.metrics,
            Reason::Reload,
        )
        .await;
        if outcome.is_ok() {
            events::tune(log.format, log.level);
        }
        self.settle(outcome, EpochReason::Reload)
    }

    async fn renew(&self) -> bool {
        let current = self.current();
        self.settle(
            renew(&current, &self.ledger, &self.clock).await,
            EpochReason::Expiry,
        )
    }

    fn settle(&self, outcome: Result<Epoch, EpochError>, reason: EpochReason) -> bool {
        match outcome {
            Ok(epoch) => {
                let epoch = Arc::new(epoch);
                announce(&epoch, reason, &self.metrics);
                self.current.send_replace(epoch);
                true
            }
            Err(error) => {
                let failure = match error {
                    EpochError::Routes(error) => {
                        events::emit(Event::RouteProblem { error });
                        EpochFailure::Routes
                    }
                    EpochError::Ledger(_) => EpochFailure::Ledger,
                    EpochError::Keys | EpochError::Names | EpochError::Certificate { .. } => {
                        EpochFailure::Keys
                    }
                };
                self.keep(reason, failure)
            }
        }
    }

    fn keep(&self, reason: EpochReason, failure: EpochFailure) -> bool {
        events::emit(Event::EpochKept {
            epoch: self.current().number,
            reason,
            failure,
        });
        false
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
        retention: epoch.retention.digest,
        reason,
    });
}

/// What was changed that a running service cannot take up.
fn changed_for_good(old: &Config, new: &Config) -> Option<Fixed> {
    if old.server.listen != new.server.listen {
        Some(Fixed::Listen)
    } else if old.server.state_dir != new.server.state_dir {
        Some(Fixed::StateDir)
    } else if old.tee != new.tee {
        Some(Fixed::Tee)
    } else if old.metrics != new.metrics {
        Some(Fixed::Metrics)
    } else if old.receipts != new.receipts {
        Some(Fixed::Receipts)
    } else if old.hardening != new.hardening {
        Some(Fixed::Hardening)
    } else if old.telemetry != new.telemetry {
        Some(Fixed::Telemetry)
    } else {
        None
    }
}
