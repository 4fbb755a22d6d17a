//! Where services keep what they write: memory, gone with the machine.
//!
//! A disk is refused for now. It would need a file system made on it at every boot, over dm-crypt with a key that
//! is only in memory, and thus a program that makes file systems in the trusted base; what it would buy is more room
//! than memory has. See `docs/adr`.

use std::path::Path;

use crate::cmdline::StatePlace;
use crate::mounts::{self, Owner};
use crate::os::OsError;

pub const FOLDER: &str = "/var/lib/sealgate";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("a state disk is asked for, which this PID 1 cannot do")]
    Disk,

    #[error(transparent)]
    Os(#[from] OsError),
}

/// Before anything else is done: whether the wish can be met.
pub fn check(place: StatePlace) -> Result<(), StateError> {
    match place {
        StatePlace::Memory => Ok(()),
        StatePlace::Disk => Err(StateError::Disk),
    }
}

/// Memory for all, and the state directory for one. `size` bounds what a service can take of the machine's memory.
pub fn prepare(owner: Owner) -> Result<(), StateError> {
    mounts::memory("/run", 0o755, mounts::ROOT, "16m")?;
    mounts::memory("/tmp", 0o1777, mounts::ROOT, "64m")?;
    mounts::memory(FOLDER, 0o700, owner, "25%")?;
    Ok(())
}

/// As a path.
pub fn folder() -> &'static Path {
    Path::new(FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_disk_is_refused_and_not_replaced_by_memory() {
        assert_eq!(check(StatePlace::Disk), Err(StateError::Disk));
        assert_eq!(check(StatePlace::Memory), Ok(()));
    }
}
