//! Switches from the initial file system to the verified root.

use rustix::mount::mount_move;
use rustix::process::{chdir, chroot};

use crate::cmdline::Verity;
use crate::devmapper::message::Access;
use crate::devmapper::table::Table;
use crate::devmapper::{self, MapperError};
use crate::disks::Disk;
use crate::os::{Doing, OsError};
use crate::{initramfs, mounts};

const NEW_ROOT: &str = "/root";

/// Makes the verity device `name` over the disk: every block that is read from then on is checked against the hash.
pub fn verified(name: &'static str, disk: &Disk, verity: &Verity) -> Result<String, MapperError> {
    devmapper::create(
        name,
        &Table::verity(verity, &disk.numbers),
        Access::ReadOnly,
    )
}

/// Mounts the verified root, moves into it, and lets the initial file system go.
pub fn enter(device: &str, modules: &[String]) -> Result<(), OsError> {
    mounts::erofs(device, NEW_ROOT, true)?;
    mounts::carry_into(NEW_ROOT)?;
    // Before the switch, while its files can still be named: they would stay in memory otherwise.
    initramfs::empty(modules);
    chdir(NEW_ROOT).doing("change to", NEW_ROOT)?;
    mount_move(".", "/").doing("move", NEW_ROOT)?;
    chroot(".").doing("make the root of", NEW_ROOT)?;
    chdir("/").doing("change to", "/")
}
