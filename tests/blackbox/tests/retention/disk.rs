//! A file system small enough for a test to fill it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Enough for two databases, their write-ahead logs and some records.
const SIZE: &str = "size=12m,mode=0700";
const BLOCK: usize = 4096;

/// Mounted until dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one there; says so and gives none where that is not allowed.
    pub fn at(directory: &Path) -> Result<Option<Self>> {
        std::fs::create_dir_all(directory)?;
        let mounting = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "sealgate-test"])
            .arg(directory)
            .output();
        match mounting {
            Ok(output) if output.status.success() => Ok(Some(Self(directory.to_owned()))),
            _ => {
                println!(
                    "skipped: a full disk: no small file system may be mounted here (root may)"
                );
                Ok(None)
            }
        }
    }

    /// Fills it to the last byte.
    pub fn fill(&self) -> Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.ballast())?;
        for size in [BLOCK, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ok(())
    }

    /// Fills it but for about so many bytes.
    pub fn fill_but(&self, bytes: u64) -> Result<()> {
        self.fill()?;
        let file = OpenOptions::new().write(true).open(self.ballast())?;
        let len = file.metadata()?.len();
        file.set_len(len.checked_sub(bytes).context("there is so much")?)?;
        Ok(())
    }

    pub fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The service may still have files open: it goes when they do.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
