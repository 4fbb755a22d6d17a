//! The generation of keys that a running service has applied.
//!
//! The ledger numbers every change of the keys. The service writes the number of the last change that it has applied to a
//! file in the state directory; `sealgate keys`, another process, waits until its change is applied.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

const FILE: &str = "keys.applied";
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The file with that number.
#[derive(Clone, Debug)]
pub struct AppliedGeneration(PathBuf);

impl AppliedGeneration {
    pub fn in_directory(state_dir: &Path) -> Self {
        Self(state_dir.join(FILE))
    }

    /// Records that the change with this number is applied. If the file cannot be written, the command line times out and
    /// reports that.
    pub(super) fn write(&self, generation: i64) {
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&self.0);
        // The line end marks the number as complete: a reader may come between two writes.
        let _ = file.and_then(|mut file| writeln!(file, "{generation}"));
    }

    fn read(&self) -> Option<i64> {
        let text = std::fs::read_to_string(&self.0).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    }

    /// Waits until the change with this number is applied, for `timeout` at most. Returns whether it is.
    pub async fn wait_for(&self, generation: i64, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            if self.read().is_some_and(|applied| applied >= generation) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}
