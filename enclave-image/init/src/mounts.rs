//! Mounts the kernel's file systems, and memory file systems for what must be written.

use std::ffi::CString;
use std::path::Path;

use rustix::mount::{MountFlags, mount, mount_move, mount_remount};

use crate::os::{Doing, OsError};

const STRICT: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);

/// `/proc`, before anything else is known. Other users' processes are not shown.
pub fn proc() -> Result<(), OsError> {
    mount("proc", "/proc", "proc", STRICT, c"hidepid=invisible").doing("mount", "/proc")
}

/// `/sys` and `/dev`. Device files are what `/dev` is for; programs have no business there.
pub fn sys_and_dev() -> Result<(), OsError> {
    mount("sysfs", "/sys", "sysfs", STRICT, None).doing("mount", "/sys")?;
    let flags = MountFlags::NOSUID.union(MountFlags::NOEXEC);
    mount("devtmpfs", "/dev", "devtmpfs", flags, c"mode=0755").doing("mount", "/dev")
}

/// configfs, where the kernel has it: the evidence interface is below it.
pub fn configfs() -> Result<(), OsError> {
    let place = "/sys/kernel/config";
    if !Path::new(place).is_dir() {
        return Ok(());
    }
    mount("configfs", place, "configfs", STRICT, None).doing("mount", place)
}

/// Takes `/dev`, `/proc` and `/sys` along into the new root.
pub fn carry_into(root: &str) -> Result<(), OsError> {
    for place in ["/dev", "/proc", "/sys"] {
        let target = format!("{root}{place}");
        mount_move(place, &target).doing("move to", &target)?;
    }
    Ok(())
}

/// An erofs, read-only.
pub fn erofs(device: &str, place: &str, programs: bool) -> Result<(), OsError> {
    let mut flags = MountFlags::RDONLY
        .union(MountFlags::NOSUID)
        .union(MountFlags::NODEV);
    if !programs {
        flags = flags.union(MountFlags::NOEXEC);
    }
    mount(device, place, "erofs", flags, None).doing("mount", place)
}

/// The file system of a state disk; its root directory has the owner. An inconsistent one stops the
/// machine: the host has changed its contents.
pub fn state_disk(device: &str, place: &str) -> Result<(), OsError> {
    mount(device, place, "ext4", STRICT, c"errors=panic").doing("mount", place)
}

/// Memory as a file system, without programs and devices. `size` as in `tmpfs(5)`.
pub fn memory(place: &str, mode: u32, owner: Owner, size: &str) -> Result<(), OsError> {
    let Owner { user, group } = owner;
    let options = format!("mode={mode:04o},uid={user},gid={group},size={size},huge=never");
    let options = CString::new(options).expect("made of digits and letters");
    mount("tmpfs", place, "tmpfs", STRICT, options.as_c_str()).doing("mount", place)
}

/// The owner of a file or directory, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub user: u32,
    pub group: u32,
}

pub const ROOT: Owner = Owner { user: 0, group: 0 };

/// Makes everything below `place` read-only.
pub fn freeze(place: &str) -> Result<(), OsError> {
    let flags = STRICT.union(MountFlags::RDONLY);
    mount_remount(place, flags, "").doing("remount", place)
}
