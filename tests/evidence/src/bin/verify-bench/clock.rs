//! CPU time of this thread.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Long enough that the clock's own cost and grain do not show, short enough that other programs
/// leave many batches undisturbed.
const BATCH: Duration = Duration::from_millis(1);

pub fn spent() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or_default())
}

/// Microseconds of CPU for one call, over as many as fill a batch.
pub fn micros(mut call: impl FnMut()) -> f64 {
    let start = spent();
    let mut calls = 0.0;
    loop {
        call();
        calls += 1.0;
        let spent = spent().saturating_sub(start);
        if spent >= BATCH {
            return spent.as_secs_f64() * 1e6 / calls;
        }
    }
}
