//! The tools of the lock, unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use ring::digest::{SHA256, digest};

use crate::debian::archive::{Archive, hex};
use crate::debian::deb;
use crate::debian::lock::{Lock, Locked};
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
        let digests: Vec<u8> = packages.iter().flat_map(|p| p.sha256.bytes()).collect();
        let name = &hex(digest(&SHA256, &digests).as_ref())[..16];
        let root = folder.join(name);
        if root.exists() {
            return Ok(Self { root });
        }
        archive.provide(&packages)?;
        say::step(&format!("Unpacking {} packages of tools", packages.len()));
        let partial = folder.join(format!("{name}.partial"));
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial).with_context(|| partial.display().to_string())?;
        for package in packages {
            deb::unpack(&archive.file(package)?, &partial)?;
        }
        fs::rename(&partial, &root).with_context(|| root.display().to_string())?;
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
