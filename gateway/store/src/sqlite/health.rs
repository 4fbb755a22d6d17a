//! Whether a database accepts what it is given, since when not, and how often that is logged.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gateway_base::events::{self, Event, LedgerWork};
use gateway_base::store_failure::StoreFailure;

/// A failure that goes on is logged again after this long.
const LOG_AGAIN: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
struct Failing {
    since: Instant,
    failure: StoreFailure,
    logged: Instant,
}

/// The health of one database, as its writer sees it.
pub(crate) struct Health {
    work: LedgerWork,
    failing: Mutex<Option<Failing>>,
}

impl Health {
    pub fn new(work: LedgerWork) -> Self {
        Self {
            work,
            failing: Mutex::default(),
        }
    }

    /// Notes a failure. It is logged when it is the first, when its cause is another than before, and now and then.
    pub fn failed(&self, failure: StoreFailure) {
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

    /// Notes a success.
    pub fn succeeded(&self) {
        if let Some(failing) = self.lock().take() {
            events::emit(Event::LedgerRecovered {
                what: self.work,
                after: failing.since.elapsed(),
            });
        }
    }

    /// What goes wrong, and for how long it has.
    pub fn failing(&self) -> Option<(StoreFailure, Duration)> {
        self.lock()
            .map(|failing| (failing.failure, failing.since.elapsed()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
