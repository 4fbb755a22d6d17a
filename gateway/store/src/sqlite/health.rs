//! The health of a database: whether writes succeed, since when they fail, and when that is logged.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gateway_base::events::{self, Event, LedgerWork};
use gateway_base::lock::lock;
use gateway_base::store_failure::StoreFailure;

/// A lasting failure is logged again after this time.
const LOG_AGAIN: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
struct Failing {
    since: Instant,
    failure: StoreFailure,
    logged: Instant,
}

/// The health of one database. Its writer records every result; readiness checks read it.
pub(crate) struct StoreHealth {
    work: LedgerWork,
    // Held for a few assignments, never while an event is emitted.
    failing: Mutex<Option<Failing>>,
}

impl StoreHealth {
    pub fn new(work: LedgerWork) -> Self {
        Self {
            work,
            failing: Mutex::default(),
        }
    }

    /// Records a failure. Logs the first one, one with another cause, and a lasting one every [`LOG_AGAIN`].
    pub fn record_failure(&self, failure: StoreFailure) {
        let now = Instant::now();
        let mut failing = self.lock();
        let before = *failing;
        let silent = before.is_some_and(|before| {
            before.failure == failure && now.duration_since(before.logged) < LOG_AGAIN
        });
        *failing = Some(Failing {
            since: before.map_or(now, |before| before.since),
            failure,
            logged: before
                .filter(|_| silent)
                .map_or(now, |before| before.logged),
        });
        drop(failing);
        if !silent {
            events::emit(Event::LedgerFailed {
                what: self.work,
                failure,
            });
        }
    }

    /// Records a success.
    pub fn record_success(&self) {
        if let Some(failing) = self.lock().take() {
            events::emit(Event::LedgerRecovered {
                what: self.work,
                after: failing.since.elapsed(),
            });
        }
    }

    /// The current failure and its duration.
    pub fn failing(&self) -> Option<(StoreFailure, Duration)> {
        self.lock()
            .map(|failing| (failing.failure, failing.since.elapsed()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Failing>> {
        lock(&self.failing)
    }
}
