//! Virtio block devices, found by the serial that the host gave them.
//!
//! The host chooses serials. They only select a disk: the contents of `root` and `model` are compared with a
//! measured hash, those of `config` are measured, and those of `state` are overwritten.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::os::{Doing, OsError};

const DISK_TIMEOUT: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    #[error("there is no disk with the serial {0}")]
    Absent(&'static str),

    #[error("two disks have the serial {0}")]
    Twice(&'static str),

    #[error(transparent)]
    Os(#[from] OsError),
}

/// A block device of the kernel: `vda`, and its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    pub name: String,
    /// `MAJOR:MINOR`, as device-mapper tables name a device.
    pub numbers: String,
}

impl Disk {
    pub fn path(&self) -> String {
        format!("/dev/{}", self.name)
    }

    /// In sectors of 512 bytes, whatever the disk's own are.
    pub fn sectors(&self) -> Result<u64, OsError> {
        let path = format!("/sys/block/{}/size", self.name);
        let text = fs::read_to_string(&path).doing("read", &path)?;
        let number = text.trim_end().parse().map_err(std::io::Error::other);
        number.doing("understand", &path)
    }
}

/// Picks the one disk with this serial out of `name → serial`.
pub fn pick(serials: &BTreeMap<String, String>, wanted: &'static str) -> Result<String, DiskError> {
    let mut with = serials.iter().filter(|(_, serial)| *serial == wanted);
    let (name, _) = with.next().ok_or(DiskError::Absent(wanted))?;
    match with.next() {
        None => Ok(name.clone()),
        Some(_) => Err(DiskError::Twice(wanted)),
    }
}

/// The disk with this serial. Waits for a while, since the kernel may still be probing its devices.
pub fn find(wanted: &'static str) -> Result<Disk, DiskError> {
    let deadline = Instant::now() + DISK_TIMEOUT;
    loop {
        match pick(&serials(Path::new("/sys/block"))?, wanted) {
            Err(DiskError::Absent(_)) if Instant::now() < deadline => sleep(PAUSE),
            Err(error) => return Err(error),
            Ok(name) => return open(name),
        }
    }
}

fn open(name: String) -> Result<Disk, DiskError> {
    let path = format!("/sys/block/{name}/dev");
    let numbers = fs::read_to_string(&path).doing("read", &path)?;
    let numbers = numbers.trim_end().to_owned();
    Ok(Disk { name, numbers })
}

/// Virtio disks below `block`, with their serials. One without a serial is left out.
pub fn serials(block: &Path) -> Result<BTreeMap<String, String>, OsError> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(block).doing("list", block)? {
        let entry = entry.doing("list", block)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let serial = fs::read_to_string(entry.path().join("serial"));
        if let (true, Ok(serial)) = (name.starts_with("vd"), serial) {
            found.insert(name, serial.trim_end_matches(['\n', '\0']).to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serials_of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    }

    #[test]
    fn a_disk_is_found_by_serial_whatever_its_order() {
        let disks = serials_of(&[("vda", "config"), ("vdb", "root")]);
        assert_eq!(pick(&disks, "root"), Ok("vdb".to_owned()));
        assert_eq!(pick(&disks, "state"), Err(DiskError::Absent("state")));
    }

    #[test]
    fn two_disks_with_one_serial_are_refused() {
        let disks = serials_of(&[("vda", "root"), ("vdb", "root"), ("vdc", "config")]);
        assert_eq!(pick(&disks, "root"), Err(DiskError::Twice("root")));
        assert_eq!(pick(&disks, "config"), Ok("vdc".to_owned()));
    }

    #[test]
    fn lists_only_virtio_disks() {
        let block = std::env::temp_dir().join(format!("enclave-init-block-{}", std::process::id()));
        for (name, serial) in [("vda", "root\n"), ("sda", "root\n"), ("vdb", "")] {
            fs::create_dir_all(block.join(name)).expect("a folder can be made");
            fs::write(block.join(name).join("serial"), serial).expect("a file can be written");
        }
        fs::create_dir_all(block.join("dm-0")).expect("a folder can be made");
        let found = serials(&block).expect("it can be listed");
        fs::remove_dir_all(&block).expect("it can be removed");
        assert_eq!(found, serials_of(&[("vda", "root"), ("vdb", "")]));
    }
}
