//! Letting one service ask the hardware, and telling the hardware what the host configured.
//!
//! **Permissions.** Everything below `/sys/kernel/config/tsm/report` belongs to root. A directory that an
//! unprivileged user makes there, were it allowed to, would get attributes of root's again (configfs gives new inodes
//! no owner but 0), and `inblob` could not be written. What configfs does keep is an owner that was set: PID 1
//! makes one entry and gives it, file by file, to the service. The entry lives as long as the machine.
//! The firmware's event log is root's, too, and is given for reading; so is `/dev/sev-guest` of older kernels.
//!
//! **Measurement.** Where the guest has runtime registers (TDX), the blob's SHA-384 is extended into RTMR3 before
//! any service starts. Untried: no such machine has been at hand.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, SHA384, digest};
use rustix::io::Errno;

use crate::devmapper::table::hex;
use crate::mounts::Owner;
use crate::os::{Doing, OsError};

const REPORTS: &str = "/sys/kernel/config/tsm/report";
/// The entry that the collector finds.
const ENTRY: &str = "sealgate";
const LOG: &[&str] = &[
    "/sys/firmware/acpi/tables/CCEL",
    "/sys/firmware/acpi/tables/data/CCEL",
];
const OLDER: &str = "/dev/sev-guest";
const TDX: &str = "/sys/class/misc/tdx_guest";
const REGISTER: &str = "measurements/rtmr3:sha384";

/// Gives what is there of the evidence interfaces. A machine without any is no error: the gateway then refuses.
pub fn give(owner: Owner) -> Result<bool, OsError> {
    give_below(Path::new("/"), owner)
}

fn give_below(root: &Path, owner: Owner) -> Result<bool, OsError> {
    let real = |path: &str| root.join(path.trim_start_matches('/'));
    for path in LOG.iter().chain([&OLDER]).map(|path| real(path)) {
        if path.exists() {
            hand_over(&path, owner)?;
        }
    }
    let entry = real(REPORTS).join(ENTRY);
    match fs::create_dir(&entry) {
        // No interface, or one that nobody stands behind: the module loads on any machine.
        Err(error)
            if matches!(
                Errno::from_io_error(&error),
                Some(Errno::NOENT | Errno::NXIO)
            ) =>
        {
            return Ok(real(OLDER).exists());
        }
        done => done.doing("create", &entry)?,
    }
    for file in fs::read_dir(&entry).doing("list", &entry)? {
        hand_over(&file.doing("list", &entry)?.path(), owner)?;
    }
    hand_over(&entry, owner)?;
    Ok(true)
}

fn hand_over(path: &Path, owner: Owner) -> Result<(), OsError> {
    chown(path, Some(owner.user), Some(owner.group)).doing("give", path)
}

/// The digest of the blob as it is shown: lowercase hex.
pub fn shown(blob: &[u8]) -> String {
    hex(digest(&SHA256, blob).as_ref())
}

/// What became of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    Rtmr3,
    /// Not a TDX guest: no register can be extended at run time.
    NoRegister,
}

/// Extends RTMR3 with SHA-384 of the blob. A TDX guest whose kernel has no such file is refused, not passed over.
pub fn extend(blob: &[u8]) -> Result<Extended, OsError> {
    extend_below(Path::new(TDX), blob)
}

fn extend_below(guest: &Path, blob: &[u8]) -> Result<Extended, OsError> {
    if !guest.exists() {
        return Ok(Extended::NoRegister);
    }
    let register: PathBuf = guest.join(REGISTER);
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .open(&register)
        .doing("open", &register)?;
    std::io::Write::write_all(&mut file, digest(&SHA384, blob).as_ref())
        .doing("extend", &register)?;
    Ok(Extended::Rtmr3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("enclave-init-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        folder
    }

    #[test]
    fn the_digest_shown_is_sha256_of_the_blob() {
        // FIPS 180-2, appendix B.1
        assert_eq!(
            shown(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_tdx_guest_gets_the_blobs_digest_and_is_refused_without_a_register() {
        let guest = folder("tdx");
        let refused = extend_below(&guest, b"abc");
        fs::create_dir_all(guest.join("measurements")).expect("a folder can be made");
        fs::write(guest.join(REGISTER), b"").expect("a file can be written");
        let extended = extend_below(&guest, b"abc");
        let written = fs::read(guest.join(REGISTER)).expect("it was written");
        fs::remove_dir_all(&guest).expect("it can be removed");
        assert_eq!(refused.expect_err("there is no register").errno, 2);
        assert_eq!(extended, Ok(Extended::Rtmr3));
        assert_eq!(written.len(), 48);
        // FIPS 180-2, appendix D.1
        assert_eq!(written[..4], [0xcb, 0x00, 0x75, 0x3f]);
        assert_eq!(extend_below(&guest, b"abc"), Ok(Extended::NoRegister));
    }

    #[test]
    fn one_entry_is_made_where_the_interface_is_and_nothing_where_it_is_not() {
        let root = folder("tsm");
        let ourselves = Owner {
            user: rustix::process::getuid().as_raw(),
            group: rustix::process::getgid().as_raw(),
        };
        assert_eq!(give_below(&root, ourselves), Ok(false));
        let reports = root.join(REPORTS.trim_start_matches('/'));
        fs::create_dir_all(&reports).expect("a folder can be made");
        assert_eq!(give_below(&root, ourselves), Ok(true));
        assert!(reports.join(ENTRY).is_dir());
        let again = give_below(&root, ourselves);
        fs::remove_dir_all(&root).expect("it can be removed");
        assert_eq!(again.expect_err("somebody was there first").errno, 17);
    }
}
