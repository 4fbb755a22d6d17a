//! The configuration: measured in the image, or a blob from the host whose digest is reported before it is used.
//!
//! A blob decides nothing about what runs: programs, arguments and users are the verified root's. It is shown on the
//! console, and on TDX it goes into RTMR3 (`evidence`). The gateway's own `config` digest in the keyset's subject
//! covers what decides how requests are treated; `../../CONTRACT.md` names what it leaves out.

pub mod blob;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::disks::Disk;
use crate::mounts::{self, Owner};
use crate::os::{Doing, OsError};
use blob::{Blob, BlobError, LIMIT};

pub const FOLDER: &str = "/etc/sealgate";
pub const STATE_PREFIX: &str = "state.";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration blob: {0}")]
    Blob(#[from] BlobError),

    #[error("the configuration has no sealgate.toml")]
    NoMainFile,

    #[error(transparent)]
    Os(#[from] OsError),
}

/// Reads the blob from the start of the disk, and not more than a blob may have.
pub fn read(disk: &Disk) -> Result<Vec<u8>, ConfigError> {
    let path = disk.path();
    let file = File::open(&path).doing("open", &path)?;
    let mut bytes = Vec::new();
    file.take(LIMIT as u64)
        .read_to_end(&mut bytes)
        .doing("read", &path)?;
    let length = blob::length(&bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// Puts the files into memory at `/etc/sealgate`, and the ones that begin a state directory where that is.
pub fn unpack(blob: &Blob<'_>, readers: Owner) -> Result<(), ConfigError> {
    mounts::memory(
        FOLDER,
        0o750,
        Owner {
            user: 0,
            group: readers.group,
        },
        "16m",
    )?;
    for (name, contents) in &blob.files {
        if name.starts_with(STATE_PREFIX) {
            continue;
        }
        let place = Owner {
            user: 0,
            group: readers.group,
        };
        put(&Path::new(FOLDER).join(name), contents, place, 0o440)?;
    }
    mounts::freeze(FOLDER)?;
    main_file()
}

/// Files of the blob called `state.NAME` become `NAME` of the state directory.
pub fn begin_state(blob: &Blob<'_>, folder: &Path, owner: Owner) -> Result<(), ConfigError> {
    for (name, contents) in &blob.files {
        if let Some(name) = name.strip_prefix(STATE_PREFIX) {
            put(&folder.join(name), contents, owner, 0o600)?;
        }
    }
    Ok(())
}

/// Without `sealgate.toml` nothing can be served.
pub fn main_file() -> Result<(), ConfigError> {
    let there = Path::new(FOLDER).join("sealgate.toml").is_file();
    there.then_some(()).ok_or(ConfigError::NoMainFile)
}

fn put(path: &Path, contents: &[u8], owner: Owner, mode: u32) -> Result<(), OsError> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .doing("create", path)?;
    file.write_all(contents).doing("write", path)?;
    std::os::unix::fs::fchown(&file, Some(owner.user), Some(owner.group)).doing("give", path)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).doing("set the mode of", path)
}
