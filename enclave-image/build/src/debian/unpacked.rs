//! Packages unpacked beside the system, never installed: each set of packages in a folder named after its digests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ring::digest::{SHA256, digest};

use super::archive::{Archive, hex};
use super::deb;
use super::lock::Locked;

/// Where a set of packages is unpacked, or will be.
pub fn folder_for(packages: &[&Locked], below: &Path) -> PathBuf {
    let digests: Vec<u8> = packages.iter().flat_map(|p| p.sha256.bytes()).collect();
    below.join(&hex(digest(&SHA256, &digests).as_ref())[..16])
}

/// Unpacks packages that the archive has. The folder appears when it is complete, so an interrupted call is repeated.
pub fn unpack(packages: &[&Locked], archive: &Archive, below: &Path) -> Result<PathBuf> {
    let root = folder_for(packages, below);
    if root.exists() {
        return Ok(root);
    }
    let partial = root.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial).with_context(|| partial.display().to_string())?;
    for package in packages {
        deb::unpack(&archive.file(package)?, &partial)?;
    }
    fs::rename(&partial, &root).with_context(|| root.display().to_string())?;
    Ok(root)
}
