//! Processes that see another `/etc`, and what can be seen of a process's children.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// Whether a process may have a separate file system view here. Where not, tests that need it are skipped by name.
pub fn private_mounts_are_possible() -> bool {
    let tried = Command::new("unshare").args(["-m", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// A command that executes its further arguments with `directory` in the place of `/etc`. Its files are made readable to
/// all: the process that resolves names runs as another user.
pub fn with_etc(directory: &Path) -> Vec<OsString> {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o644));
        }
    }
    let script = "mount --bind \"$0\" /etc && exec \"$@\"";
    let mut command: Vec<OsString> = ["unshare", "-m", "sh", "-c", script]
        .map(OsString::from)
        .to_vec();
    command.push(directory.into());
    command
}

/// Puts a file in the place of another as DHCP clients, NetworkManager, resolvconf and cloud-init do: it is written
/// beside it and renamed over it.
pub fn replace_by_renaming(file: &Path, contents: &str) -> Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, contents)?;
    fs::rename(&beside, file).with_context(|| file.display().to_string())
}

/// The processes that `parent` has started.
pub fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| status(*id, "PPid:").is_some_and(|line| line == parent.to_string()))
        .collect()
}

/// A line of a process's `status`.
pub fn status(id: u32, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}

/// Whether a process is there and runs: one that has ended and was not waited for does not.
pub fn runs(id: u32) -> bool {
    status(id, "State:").is_some_and(|state| !state.starts_with('Z'))
}
