//! The time by which kept things expire.
//!
//! The system's clock can be set; what expires by it would expire early, or never. This clock is set once, when the
//! service starts, and then counts what has passed, time asleep included. Setting the system's clock back therefore
//! extends nothing, and setting it forward destroys nothing before its time.
//!
//! Over a restart nobody counts, and the system's clock is asked how long the service was down. Backwards is not
//! believed at all. Forwards is believed up to [`BELIEVED_GAP`]: more than that may be a wrong clock, and what would be
//! destroyed cannot be had back. Then the time goes on where it was, nothing is lost, what is kept is kept longer, the
//! log says so, and `sealgate retention clock --accept` is the operator's word that the clock is right.

use std::sync::Mutex;
use std::time::Duration;

use attest_core::UnixTime;
use rustix::time::{ClockId, clock_gettime};

/// A service may have been down this long without anybody being asked.
pub const BELIEVED_GAP: Duration = Duration::from_secs(7 * 86_400);

/// How a service found the time again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// There was none before.
    First,
    /// The system's clock was believed.
    Believed,
    /// The system's clock is behind what has passed already by this much.
    Behind(Duration),
    /// The system's clock is ahead by so much that an operator has to confirm it.
    Doubted(Duration),
}

/// The time when it was last known, and since when it counts.
pub struct RetentionClock(Mutex<(UnixTime, Duration)>);

impl RetentionClock {
    /// Goes on from what was noted last.
    pub fn resume(noted: Option<UnixTime>, system: UnixTime) -> (Self, Resumed) {
        let (now, resumed) = resume(noted, system);
        (Self(Mutex::new((now, counter()))), resumed)
    }

    pub fn now(&self) -> UnixTime {
        let (at, since) = *self.0.lock().expect("no holder of this lock panics");
        at.plus(counter().saturating_sub(since))
    }

    /// An operator has said that it is later than it seems here.
    pub fn advance_to(&self, accepted: UnixTime) {
        if accepted > self.now() {
            *self.0.lock().expect("no holder of this lock panics") = (accepted, counter());
        }
    }
}

fn resume(noted: Option<UnixTime>, system: UnixTime) -> (UnixTime, Resumed) {
    let Some(noted) = noted else {
        return (system, Resumed::First);
    };
    match system.since(noted) {
        None => (
            noted,
            Resumed::Behind(noted.since(system).unwrap_or_default()),
        ),
        Some(gap) if gap > BELIEVED_GAP => (noted, Resumed::Doubted(gap)),
        Some(_) => (system, Resumed::Believed),
    }
}

/// What has passed since the machine was started, asleep or not.
fn counter() -> Duration {
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
    fn a_clock_set_back_extends_nothing() {
        let earlier = UnixTime::from_secs(NOON.secs() - 86_400 * 365);
        assert_eq!(
            resume(Some(NOON), earlier),
            (NOON, Resumed::Behind(HOUR * 24 * 365))
        );
    }

    #[test]
    fn a_clock_that_jumps_ahead_destroys_nothing_until_somebody_confirms_it() {
        let jumped = NOON.plus(BELIEVED_GAP + HOUR);
        assert_eq!(
            resume(Some(NOON), jumped),
            (NOON, Resumed::Doubted(BELIEVED_GAP + HOUR))
        );
        let (clock, _) = RetentionClock::resume(Some(NOON), jumped);
        assert!(clock.now() < NOON.plus(HOUR));
        clock.advance_to(jumped);
        assert!(clock.now() >= jumped);
        clock.advance_to(NOON);
        assert!(clock.now() >= jumped, "and it never goes back");
    }

    #[test]
    fn a_service_that_was_down_for_a_while_takes_the_time_as_it_is() {
        let later = NOON.plus(BELIEVED_GAP);
        assert_eq!(resume(Some(NOON), later), (later, Resumed::Believed));
        assert_eq!(resume(None, NOON), (NOON, Resumed::First));
    }
}
