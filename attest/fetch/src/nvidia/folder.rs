//! Manifests from a local folder, for machines that cannot or must not use NVIDIA's service.
//!
//! Every file of the folder is read as a manifest, whatever its name. The manifests themselves say which
//! device they are for, and the verifier that uses them verifies their signatures.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use attest_core::MAX_RIM_LEN;

/// As many manifests as collateral may contain.
const MAX_FILES: usize = 32;

/// A folder of reference integrity manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RimFolder(PathBuf);

/// Why a folder has no usable manifests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RimFolderError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read {}: {kind}", path.display())]
    Unreadable {
        /// What.
        path: PathBuf,
        /// Why.
        kind: std::io::ErrorKind,
    },
    /// A file larger than any manifest.
    #[error("{} is larger than any manifest", .0.display())]
    TooLarge(PathBuf),
    /// A file that is no XML.
    #[error("{} is not an XML document", .0.display())]
    NotXml(PathBuf),
    /// Nothing in it.
    #[error("{} contains no manifest", .0.display())]
    Empty(PathBuf),
    /// More files than collateral may contain.
    #[error("{} contains more than {MAX_FILES} files", .0.display())]
    TooMany(PathBuf),
}

impl RimFolder {
    /// The folder at `path`, if it contains manifests now.
    pub fn open(path: &Path) -> Result<Self, RimFolderError> {
        let folder = Self(path.to_owned());
        folder.read()?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// All manifests as they are now, ordered by file name. Blocks.
    pub fn read(&self) -> Result<Vec<Vec<u8>>, RimFolderError> {
        let unreadable = |error: std::io::Error| RimFolderError::Unreadable {
            path: self.0.clone(),
            kind: error.kind(),
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_file() {
                paths.push(path);
            }
            if paths.len() > MAX_FILES {
                return Err(RimFolderError::TooMany(self.0.clone()));
            }
        }
        if paths.is_empty() {
            return Err(RimFolderError::Empty(self.0.clone()));
        }
        paths.sort();
        paths.iter().map(|path| manifest(path)).collect()
    }
}

fn manifest(path: &Path) -> Result<Vec<u8>, RimFolderError> {
    let limit = u64::try_from(MAX_RIM_LEN).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| RimFolderError::Unreadable {
            path: path.to_owned(),
            kind: error.kind(),
        })?;
    if bytes.len() > MAX_RIM_LEN {
        return Err(RimFolderError::TooLarge(path.to_owned()));
    }
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'<') => Ok(bytes),
        _ => Err(RimFolderError::NotXml(path.to_owned())),
    }
}
