//! Messages for the person who waits for a download.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Takes one line.
pub type Report<'a> = &'a dyn Fn(&str);

/// How often a download that is still running is reported.
const EVERY: Duration = Duration::from_secs(3);

/// Waits for a program that downloads `total` bytes into a folder, and reports how far it is.
pub fn wait(
    child: &mut Child,
    folder: &Path,
    total: u64,
    report: Report,
) -> io::Result<ExitStatus> {
    let mut reported = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(50));
        if reported.elapsed() >= EVERY {
            reported = Instant::now();
            let there = bytes_below(folder).min(total);
            report(&format!("  {} of {}", megabytes(there), megabytes(total)));
        }
    }
}

/// How many bytes the files below a folder have. Files that disappear meanwhile do not count.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// `92.9 MB`
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
