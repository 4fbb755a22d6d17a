//! Whether a candidate can be connected to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a candidate is tried last after it could not be connected to.
const PAUSE: Duration = Duration::from_secs(10);

/// Whether the last attempt to connect to a candidate succeeded.
pub struct Health {
    since: Instant,
    /// Milliseconds after `since` until which the candidate is paused; 0 if it is not. Relaxed: the value stands alone, and
    /// a request that reads an old one only tries the candidates in another order.
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
    pub fn mark_unreachable(&self) {
        let until = self.now() + millis(PAUSE);
        self.paused_until.store(until, Ordering::Relaxed);
    }

    pub fn mark_reachable(&self) {
        self.paused_until.store(0, Ordering::Relaxed);
    }

    /// Whether a request is to try the candidate in its configured order. After a pause this returns true to one request,
    /// which tests the candidate; for the others the pause is extended.
    pub fn may_be_tried(&self) -> bool {
        let (now, until) = (self.now(), self.paused_until.load(Ordering::Relaxed));
        if until == 0 {
            return true;
        }
        // Exchanged, so that of concurrent requests only one wins.
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
    fn an_unreachable_candidate_is_paused_until_it_is_reachable() {
        let health = Health::default();
        assert!(health.may_be_tried());
        health.mark_unreachable();
        assert!(!health.may_be_tried());
        health.mark_reachable();
        assert!(health.may_be_tried());
    }

    #[test]
    fn after_the_pause_one_request_tries_the_candidate() {
        let health = Health::default();
        health.paused_until.store(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(2));
        assert!(health.may_be_tried());
        assert!(!health.may_be_tried());
    }
}
