//! The retention clock: the time by which stored data expires.
//!
//! An administrator of the machine can set the system clock. If data expired by it, a wrong clock would delete data too
//! early or never. The retention clock is initialized once, when the service starts, and then advances with a monotonic
//! clock that includes suspended time. So setting the system clock neither extends nor shortens any retention.
//!
//! The monotonic clock does not survive a restart. The ledger therefore stores the retention clock's time, and a start
//! compares the system clock with it. A system clock before the stored time is wrong: the stored time is used. A system
//! clock after it is accepted up to [`MAX_PLAUSIBLE_GAP`]; a larger gap may be a wrong clock, and deleted data cannot be
//! restored. Then the retention clock continues from the stored time, so that data stays longer. The log reports it, and
//! the operator can confirm the system clock with `sealgate retention clock --accept`.

use std::sync::Mutex;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use attest_core::UnixTime;
use gateway_base::lock::lock;

/// The longest downtime that is accepted without confirmation by an operator.
pub(crate) const MAX_PLAUSIBLE_GAP: Duration = Duration::from_secs(7 * 86_400);

/// How the system clock compares with the stored time when a service starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemClockCheck {
    /// No time was stored yet.
    NoStoredTime,
    /// The system clock is used.
    Plausible,
    /// The system clock is before the stored time by this much; the stored time is used.
    Behind(Duration),
    /// The system clock is after the stored time by more than [`MAX_PLAUSIBLE_GAP`]; the stored time is used until an
    /// operator confirms the system clock.
    FarAhead(Duration),
}

/// The clock by which stored data expires.
pub struct RetentionClock {
    // A time, and the monotonic clock's value at that time. Both change together when an operator confirms a later time,
    // hence one lock. Readers add the elapsed time.
    set: Mutex<(UnixTime, Duration)>,
    check: SystemClockCheck,
}

impl RetentionClock {
    /// Continues from the stored time.
    pub fn resume(stored: Option<UnixTime>, system: UnixTime) -> Self {
        let (now, check) = resume(stored, system);
        Self {
            set: Mutex::new((now, since_boot())),
            check,
        }
    }

    /// How the system clock compared with the stored time when the ledger was opened.
    pub fn system_clock_check(&self) -> SystemClockCheck {
        self.check
    }

    pub fn now(&self) -> UnixTime {
        let (at, since) = *lock(&self.set);
        at.plus(since_boot().saturating_sub(since))
    }

    /// Advances to a later time that an operator confirmed. Never goes back.
    pub fn advance_to(&self, accepted: UnixTime) {
        if accepted > self.now() {
            *lock(&self.set) = (accepted, since_boot());
        }
    }
}

fn resume(stored: Option<UnixTime>, system: UnixTime) -> (UnixTime, SystemClockCheck) {
    let Some(stored) = stored else {
        return (system, SystemClockCheck::NoStoredTime);
    };
    match system.since(stored) {
        None => (
            stored,
            SystemClockCheck::Behind(stored.since(system).unwrap_or_default()),
        ),
        Some(gap) if gap > MAX_PLAUSIBLE_GAP => (stored, SystemClockCheck::FarAhead(gap)),
        Some(_) => (system, SystemClockCheck::Plausible),
    }
}

/// The time since the machine was started, including suspended time.
fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixTime = UnixTime::from_secs(1_700_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn ignores_a_system_clock_before_the_stored_time() {
        let earlier = UnixTime::from_secs(NOON.secs() - 86_400 * 365);
        assert_eq!(
            resume(Some(NOON), earlier),
            (NOON, SystemClockCheck::Behind(HOUR * 24 * 365))
        );
    }

    #[test]
    fn ignores_a_system_clock_far_ahead_until_an_operator_confirms_it() {
        let jumped = NOON.plus(MAX_PLAUSIBLE_GAP + HOUR);
        assert_eq!(
            resume(Some(NOON), jumped),
            (NOON, SystemClockCheck::FarAhead(MAX_PLAUSIBLE_GAP + HOUR))
        );
        let clock = RetentionClock::resume(Some(NOON), jumped);
        assert!(clock.now() < NOON.plus(HOUR));
        clock.advance_to(jumped);
        assert!(clock.now() >= jumped);
        clock.advance_to(NOON);
        assert!(clock.now() >= jumped, "and it never goes back");
    }

    #[test]
    fn uses_the_system_clock_after_a_plausible_downtime() {
        let later = NOON.plus(MAX_PLAUSIBLE_GAP);
        assert_eq!(
            resume(Some(NOON), later),
            (later, SystemClockCheck::Plausible)
        );
        assert_eq!(resume(None, NOON), (NOON, SystemClockCheck::NoStoredTime));
    }
}
