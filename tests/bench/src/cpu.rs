//! CPU time of one process, from `/proc`.
//!
//! The scheduler's own account, `/proc/PID/task/*/schedstat`, counts nanoseconds but forgets threads that have ended;
//! `/proc/PID/stat` forgets nothing and counts whole clock ticks (10 ms).

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// `USER_HZ`, which Linux fixes at 100 for everything it shows to programs.
const TICKS_PER_SECOND: u64 = 100;

/// One reading.
pub struct Usage {
    ticks: u64,
    threads: BTreeMap<String, u64>,
}

impl Usage {
    pub fn of(pid: u32) -> Self {
        Self {
            ticks: ticks(pid).unwrap_or(0),
            threads: threads(pid).unwrap_or_default(),
        }
    }

    /// The CPU time spent since an earlier reading. What a thread spent that has ended in between is known to a few
    /// ticks only.
    pub fn since(&self, earlier: &Self) -> Duration {
        let of_threads = self
            .threads
            .iter()
            .map(|(thread, now)| now.saturating_sub(*earlier.threads.get(thread).unwrap_or(&0)))
            .sum();
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        let at_least = ticks.saturating_sub(TICKS_OFF) * 1000 / TICKS_PER_SECOND;
        Duration::from_nanos(of_threads).max(Duration::from_millis(at_least))
    }
}

/// User and system time are rounded, each by up to a tick at either reading.
const TICKS_OFF: u64 = 4;

/// A process spends less than this in [`QUIET_FOR`] when it is idle: its timers.
const QUIET: Duration = Duration::from_millis(4);
/// Longer than the period of work that is done in batches.
const QUIET_FOR: Duration = Duration::from_millis(600);
/// A process that never becomes idle is not waited for any longer.
const IDLE_WITHIN: Duration = Duration::from_secs(20);

/// Waits until the process is idle, and returns what it spent until then.
pub async fn until_idle(pid: u32) -> Duration {
    let before = Usage::of(pid);
    let give_up = Instant::now() + IDLE_WITHIN;
    let mut last = Usage::of(pid);
    loop {
        tokio::time::sleep(QUIET_FOR).await;
        let now = Usage::of(pid);
        if now.since(&last) < QUIET || Instant::now() > give_up {
            return now.since(&before);
        }
        last = now;
    }
}

fn ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold anything, parentheses included: the fields begin after the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let user: u64 = fields.get(11)?.parse().ok()?;
    let system: u64 = fields.get(12)?.parse().ok()?;
    Some(user + system)
}

fn threads(pid: u32) -> Option<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let task = task.ok()?;
        let account = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let nanoseconds = account.split_whitespace().next()?.parse().ok()?;
        found.insert(task.file_name().to_string_lossy().into_owned(), nanoseconds);
    }
    Some(found)
}

/// Memory the process holds now, in MiB.
pub fn resident_mib(pid: u32) -> f64 {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        })
        .map_or(0.0, |kib| kib / 1024.0)
}

/// How many tasks have wanted a core, on average over the last minute.
pub fn load_average() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
