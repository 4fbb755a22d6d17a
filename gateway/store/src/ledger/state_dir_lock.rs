//! A file lock that allows one service per state directory.
//!
//! A second service would sign other heads over the same audit log, and would treat the rows of the first service's
//! unfinished requests as those of a process that has ended.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::error::StoreError;

const FILE: &str = "service.lock";
/// Attempts to lock, and the time between them: a command that checks whether a service runs holds the lock briefly.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Held as long as the service runs. The operating system releases it when the process ends, also after a crash.
#[derive(Debug)]
pub(super) struct StateDirLock(
    #[expect(dead_code, reason = "the lock is held by the open file")] File,
);

impl StateDirLock {
    /// Locks the existing `state_dir`. Fails with [`StoreError::InUse`] while another service holds the lock.
    pub fn acquire(state_dir: &Path) -> Result<Self, StoreError> {
        let path = state_dir.join(FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        let locked = |file: &File| {
            for _ in 1..TRIES {
                match file.try_lock() {
                    Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_TRIES),
                    tried => return tried,
                }
            }
            file.try_lock()
        };
        match file.map(|file| (locked(&file), file)) {
            Ok((Ok(()), file)) => Ok(Self(file)),
            Ok((Err(TryLockError::WouldBlock), _)) => Err(StoreError::InUse {
                state_dir: state_dir.to_owned(),
            }),
            Ok((Err(TryLockError::Error(source)), _)) | Err(source) => {
                Err(StoreError::Create { path, source })
            }
        }
    }

    /// Whether a service holds the lock of `state_dir`.
    pub fn is_held(state_dir: &Path) -> bool {
        let file = File::open(state_dir.join(FILE));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}
