//! Packages as files: from a folder, from the cache, or from a mirror, each by the SHA-256 of the lock.
//!
//! The mirror is the one that apt uses on this machine, or a named one. It is not trusted: every download is
//! compared with the lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use ring::digest::{SHA256, digest};

use super::lock::Locked;
use crate::say;

/// apt's own downloader: it knows the machine's proxies and credentials.
const DOWNLOADER: &str = "/usr/lib/apt/apt-helper";

/// The places where packages are searched.
#[derive(Clone, Debug)]
pub struct Archive {
    /// A folder with `.deb` files of earlier versions.
    pub folder: Option<PathBuf>,
    /// What was downloaded before.
    pub cache: PathBuf,
    /// Base URL of a mirror, if not apt's.
    pub mirror: Option<String>,
}

impl Archive {
    /// Downloads missing packages. Afterwards every package is present with the digest of the lock, or this fails.
    pub fn provide(&self, packages: &[&Locked]) -> Result<()> {
        fs::create_dir_all(&self.cache)
            .with_context(|| format!("cannot make {}", self.cache.display()))?;
        let missing: Vec<&Locked> = packages
            .iter()
            .copied()
            .filter(|package| self.find(package).is_none())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mirror = self.mirror()?;
        say::step(&format!(
            "Fetching {} packages from the mirror",
            missing.len()
        ));
        for some in missing.chunks(16) {
            let files = some.iter().map(|package| {
                (
                    format!("{mirror}/{}", package.path),
                    self.cache.join(package.file_name()),
                )
            });
            download(&files.collect::<Vec<_>>())?;
        }
        let unavailable: Vec<String> = missing
            .iter()
            .filter(|package| self.find(package).is_none())
            .map(|package| {
                format!(
                    "  {} {} ({})",
                    package.name,
                    package.version,
                    package.file_name()
                )
            })
            .collect();
        ensure!(
            unavailable.is_empty(),
            "packages of the lock that the mirror does not have, or has with other bytes:\n{}\n\
             Give a folder that has these files with --archive DIR, or refresh the lock with `image lock` \
             (which changes what is built, and every measurement with it).",
            unavailable.join("\n")
        );
        Ok(())
    }

    /// A package's file, if its bytes are those of the lock.
    pub fn find(&self, package: &Locked) -> Option<PathBuf> {
        let folders = [self.folder.as_deref(), Some(self.cache.as_path())];
        let files = folders
            .into_iter()
            .flatten()
            .map(|folder| folder.join(package.file_name()));
        files
            .into_iter()
            .find(|file| sha256_of(file).is_ok_and(|hex| hex == package.sha256))
    }

    /// A package's file.
    pub fn file(&self, package: &Locked) -> Result<PathBuf> {
        self.find(package)
            .with_context(|| format!("{} was not fetched", package.file_name()))
    }

    /// Base URL of the mirror.
    pub fn mirror(&self) -> Result<String> {
        if let Some(mirror) = &self.mirror {
            return Ok(mirror.trim_end_matches('/').to_owned());
        }
        apts_mirror().context(
            "packages have to be fetched, and apt names no mirror of Debian on this machine: \
             give one with --mirror URL (or SEALGATE_IMAGE_MIRROR), or a folder of packages with --archive DIR",
        )
    }
}

/// The first mirror of Debian's main archive that apt is set up with.
fn apts_mirror() -> Result<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(ORIGIN) $(SITE)"])
        .output()
        .context("apt-get")?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let sites = listed
        .lines()
        .filter_map(|line| line.strip_prefix("Debian "));
    let main = sites.filter(|site| !site.trim_end_matches('/').ends_with("-security"));
    let site = main.map(str::trim).next().context("no mirror")?;
    Ok(site.trim_end_matches('/').to_owned())
}

/// Downloads files. The caller checks which of them arrived.
pub fn download(files: &[(String, PathBuf)]) -> Result<()> {
    if !Path::new(DOWNLOADER).exists() {
        bail!(
            "{DOWNLOADER} is needed to fetch packages (it comes with apt): give a folder of packages with --archive DIR instead"
        );
    }
    let mut command = Command::new(DOWNLOADER);
    command.args(["-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=1"]);
    command.args(["-qq", "download-file"]);
    for (url, file) in files {
        command.arg(url).arg(file).arg("");
    }
    let output = command.output().context(DOWNLOADER)?;
    if !output.status.success() {
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            say::note(line);
        }
    }
    Ok(())
}

/// The SHA-256 of a file, in hex.
pub fn sha256_of(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    Ok(hex(digest(&SHA256, &bytes).as_ref()))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
