//! A clock as an argument: the time of the system and the time since boot, which tests replace.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use attest_core::UnixTime;

/// The time by which dates are checked. Tests pass a fixed one.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> UnixTime;

    /// The time since the machine was started, suspended or not. Setting the clock does not
    /// change it, so lifetimes are measured by it.
    fn uptime(&self) -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        Duration::new(seconds, nanos)
    }

    /// Both at one moment.
    fn moment(&self) -> Moment {
        Moment {
            now: self.now(),
            uptime: self.uptime(),
        }
    }
}

/// One moment by the wall clock, which can be set, and by the boot clock, which cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub now: UnixTime,
    pub uptime: Duration,
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            // A clock set before 1970 counts as 1970: nothing is valid then.
            .unwrap_or_default();
        UnixTime::from_secs(since_epoch.as_secs())
    }
}
