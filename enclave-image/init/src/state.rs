//! Where services write: memory, or a disk that cannot be decrypted after the machine is off.
//!
//! The disk `state` is the host's. It is encrypted with dm-crypt under a random key that is made at boot, passed to the
//! kernel and then wiped from PID 1; a new file system (`ext2`) is on that. Nothing survives the machine, on purpose: the
//! disk only gives more space. The host sees when and where sectors are written. It can corrupt sectors and restore
//! earlier contents of the same boot, which this layer does not detect; see `docs/adr`.

use std::fs::File;
use std::path::Path;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::cmdline::StatePlace;
use crate::console::say;
use crate::devmapper::message::Access;
use crate::devmapper::table::{KEY_LEN, Table};
use crate::devmapper::{self, MapperError};
use crate::disks::{self, Disk, DiskError};
use crate::ext2::{self, Layout, SizeError};
use crate::mounts::{self, Owner};
use crate::os::{Doing, OsError};

pub const FOLDER: &str = "/var/lib/sealgate";
const SECTOR: u64 = 512;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error(transparent)]
    Size(#[from] SizeError),

    #[error("the encryption: {0}")]
    Mapper(#[from] MapperError),

    #[error(transparent)]
    Os(#[from] OsError),
}

/// Memory for all, and the state directory for one.
pub fn prepare(place: StatePlace, owner: Owner) -> Result<(), crate::refusal::Refusal> {
    memory_for_all().map_err(StateError::from)?;
    match place {
        StatePlace::Memory => in_memory(owner).map_err(StateError::from)?,
        StatePlace::Disk => on_disk(&find()?, owner)?,
    }
    Ok(())
}

fn find() -> Result<Disk, DiskError> {
    disks::find("state")
}

fn memory_for_all() -> Result<(), OsError> {
    mounts::memory("/run", 0o755, mounts::ROOT, "16m")?;
    mounts::memory("/tmp", 0o1777, mounts::ROOT, "64m")
}

/// The size bounds what a service can take of the machine's memory.
fn in_memory(owner: Owner) -> Result<(), OsError> {
    mounts::memory(FOLDER, 0o700, owner, "25%")
}

fn on_disk(disk: &Disk, owner: Owner) -> Result<(), StateError> {
    let sectors = disk.sectors()?;
    let layout = Layout::of(sectors.saturating_mul(SECTOR))?;
    let device = encrypted(disk, sectors)?;
    format(&device, layout, owner)?;
    mounts::state_disk(&device, FOLDER)?;
    say(format_args!(
        "state {} encrypted, {} MiB",
        disk.name,
        sectors / 2048
    ));
    Ok(())
}

/// The disk behind a new key, which then only the kernel has.
fn encrypted(disk: &Disk, sectors: u64) -> Result<String, StateError> {
    let key = Key::drawn()?;
    let table = Table::crypt(&key.0, &disk.numbers, sectors);
    // As early as possible. The table still has the key, as text, until the kernel has read it; `Table` wipes that.
    drop(key);
    Ok(devmapper::create("state", &table, Access::ReadWrite)?)
}

fn format(device: &str, layout: Layout, owner: Owner) -> Result<(), OsError> {
    let file = File::options().write(true).open(device);
    let mut file = file.doing("open", device)?;
    ext2::write(layout, owner, &mut file).doing("make a file system on", device)?;
    file.sync_all().doing("make a file system on", device)
}

/// Wiped when it is dropped.
struct Key(Box<[u8; KEY_LEN]>);

impl Key {
    fn drawn() -> Result<Self, OsError> {
        let mut key = Self(Box::new([0; KEY_LEN]));
        let len = getrandom(&mut key.0[..], GetRandomFlags::empty());
        let len = len.doing("draw from", "the random pool")?;
        // Up to 256 bytes come whole; a part of a key is none.
        if len == KEY_LEN {
            Ok(key)
        } else {
            Err(std::io::Error::from_raw_os_error(5)).doing("draw from", "the random pool")
        }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&mut self.0);
    }
}

/// As a path.
pub fn folder() -> &'static Path {
    Path::new(FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_random_in_all_its_bytes() {
        let (one, other) = (Key::drawn(), Key::drawn());
        let (one, other) = (one.expect("a key"), other.expect("a key"));
        assert_ne!(one.0, other.0);
        for half in one.0.chunks(8) {
            assert_ne!(half, [0; 8]);
        }
    }
}
