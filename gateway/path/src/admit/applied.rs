//! How far a running service has read the keys of its ledger.
//!
//! Every change of the keys has a number, which the ledger counts. The service writes the number of the last change
//! it has applied into a file of the state directory; `sealgate keys`, beside it, waits until its own change is
//! applied.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

const FILE: &str = "keys.applied";
const LOOK: Duration = Duration::from_millis(20);

#[derive(Clone, Debug)]
pub struct Applied(PathBuf);

impl Applied {
    pub fn of(state_dir: &Path) -> Self {
        Self(state_dir.join(FILE))
    }

    /// Notes that the change of this number is applied. Where it cannot be written the command line waits in vain, and
    /// says so.
    pub(super) fn write(&self, generation: i64) {
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&self.0);
        // The line's end says that the number is whole.
        let _ = file.and_then(|mut file| writeln!(file, "{generation}"));
    }

    fn read(&self) -> Option<i64> {
        let text = std::fs::read_to_string(&self.0).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    }

    /// Waits until the change of this number is applied, for `most`. Returns whether it is.
    pub async fn reached(&self, generation: i64, most: Duration) -> bool {
        let deadline = Instant::now() + most;
        loop {
            if self.read().is_some_and(|applied| applied >= generation) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            sleep(LOOK).await;
        }
    }
}
