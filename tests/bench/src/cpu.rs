//! CPU time of one process, from `/proc`.
//!
//! `/proc/PID/stat` counts whole clock ticks (10 ms). The scheduler's own account, `/proc/PID/task/*/schedstat`, counts
//! nanoseconds but forgets threads that have ended, so it is used only when no thread ended in between.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

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

    /// The CPU time spent since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Duration {
        let all_still_there = earlier.threads.keys().all(|t| self.threads.contains_key(t));
        if self.threads.is_empty() || !all_still_there {
            let ticks = self.ticks.saturating_sub(earlier.ticks);
            return Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
        }
        let spent = self
            .threads
            .iter()
            .map(|(thread, now)| now.saturating_sub(*earlier.threads.get(thread).unwrap_or(&0)))
            .sum();
        Duration::from_nanos(spent)
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
