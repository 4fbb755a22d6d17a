//! One service to a state directory: a second one would sign heads of its own over the same audit log, and take the
//! rows of requests that the first is still about for an earlier process's.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use super::LedgerError;

const FILE: &str = "service.lock";
/// How often a claim is tried, and how long after one another: a command that asks whether a service runs holds the
/// lock for a moment.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Held as long as the service runs. The system takes it back from a process that dies, however it dies.
#[derive(Debug)]
pub(super) struct Alone(#[expect(dead_code, reason = "the lock is held by the open file")] File);

impl Alone {
    /// Claims `state_dir`, which has to be there, or says that somebody else serves from it.
    pub fn claim(state_dir: &Path) -> Result<Self, LedgerError> {
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
            Ok((Err(TryLockError::WouldBlock), _)) => Err(LedgerError::InUse {
                state_dir: state_dir.to_owned(),
            }),
            Ok((Err(TryLockError::Error(source)), _)) | Err(source) => {
                Err(LedgerError::Create { path, source })
            }
        }
    }

    /// Whether a service holds the claim to `state_dir`.
    pub fn is_claimed(state_dir: &Path) -> bool {
        let file = File::open(state_dir.join(FILE));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}
