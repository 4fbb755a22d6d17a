//! The tools of the lock, unpacked.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::debian::archive::Archive;
use crate::debian::lock::{Lock, Locked};
use crate::debian::unpacked;
use crate::say;

/// Where they are.
#[derive(Clone, Debug)]
pub struct Tools {
    root: PathBuf,
}

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

impl Tools {
    /// Unpacks the lock's group `tools` below a folder, once for each set of packages.
    pub fn provide(lock: &Lock, archive: &Archive, folder: &Path) -> Result<Self> {
        let packages: Vec<&Locked> = lock.group("tools").collect();
        if !unpacked::folder_for(&packages, folder).exists() {
            archive.provide(&packages)?;
            say::step(&format!("Unpacking {} packages of tools", packages.len()));
        }
        let root = unpacked::unpack(&packages, archive, folder)?;
        Ok(Self { root })
    }

    /// A program of theirs, with their loader and libraries.
    pub fn command(&self, program: &str) -> Command {
        let libraries = self.root.join(LIBRARIES);
        let search = [libraries.clone(), libraries.join("swtpm")];
        let search: Vec<String> = search.iter().map(|p| p.display().to_string()).collect();
        let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(search.join(":"));
        command.arg(self.root.join("usr/bin").join(program));
        command.env("QEMU_MODULE_DIR", libraries.join("qemu"));
        command
    }

    /// QEMU's files beside the program.
    pub fn qemu_data(&self) -> PathBuf {
        self.root.join("usr/share/qemu")
    }
}
