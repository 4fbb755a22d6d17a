//! What time it is, as an argument.

use attest_core::UnixTime;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time to whatever judges dates. Tests pass a fixed one.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> UnixTime;
}

/// The machine's own clock.
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
