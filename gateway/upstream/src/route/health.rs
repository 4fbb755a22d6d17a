//! Candidates that could not be reached a moment ago.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// For so long the others are tried first.
const PAUSE: Duration = Duration::from_secs(10);

/// Whether a candidate could be reached when that was last tried.
pub struct Health {
    since: Instant,
    /// Milliseconds after `since` at which it may be tried first again; 0 while nothing speaks against it.
    paused_until: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            paused_until: AtomicU64::new(0),
        }
    }
}

impl Health {
    /// It could not be reached.
    pub fn unreachable(&self) {
        let until = self.now() + millis(PAUSE);
        self.paused_until.store(until, Ordering::Relaxed);
    }

    /// It could.
    pub fn reached(&self) {
        self.paused_until.store(0, Ordering::Relaxed);
    }

    /// Whether a request is to try it in its turn. After a pause one request does, and the others wait for what comes
    /// of that.
    pub fn may_be_tried(&self) -> bool {
        let (now, until) = (self.now(), self.paused_until.load(Ordering::Relaxed));
        if until == 0 {
            return true;
        }
        let next = now + millis(PAUSE);
        let claim = || {
            self.paused_until
                .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
        };
        now >= until && claim().is_ok()
    }

    fn now(&self) -> u64 {
        millis(self.since.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_that_could_not_be_reached_is_paused_until_it_could() {
        let health = Health::default();
        assert!(health.may_be_tried());
        health.unreachable();
        assert!(!health.may_be_tried());
        health.reached();
        assert!(health.may_be_tried());
    }

    #[test]
    fn after_the_pause_one_request_tries_and_the_others_do_not() {
        let health = Health::default();
        health.paused_until.store(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(2));
        assert!(health.may_be_tried());
        assert!(!health.may_be_tried());
    }
}
