//! A log in a directory, as `sealgate log export` writes it, or fetched file by file from a service.

use std::path::{Path, PathBuf};

use attest_core::log::tile::Tile;
use attest_core::log::{Salt, SignedHead};
use attest_core::{Sha256Digest, json, parse_hex};

use super::source::{LogReadError, digests};
use crate::failure::Failure;
use crate::inputs;

/// The largest file is a bundle of 256 entries of 65535 bytes; this is more.
const MAX_FILE: usize = 32 << 20;

pub struct Directory(PathBuf);

impl Directory {
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if !path.is_dir() {
            return Err(Failure::Unreadable {
                path: path.to_owned(),
                cause: "not a directory".to_owned(),
            });
        }
        Ok(Self(path.to_owned()))
    }

    pub fn head(&self) -> Result<SignedHead, Failure> {
        let path = self.0.join("checkpoint");
        let bytes = inputs::read_inside(&self.0, "checkpoint", MAX_FILE)?;
        let bytes = bytes.ok_or_else(|| Failure::Unreadable {
            path: path.clone(),
            cause: "no such file or directory".to_owned(),
        })?;
        SignedHead::parse(&bytes).map_err(|e| Failure::malformed(path.display().to_string(), e))
    }

    pub fn entries(&self, bundle: &Tile) -> Result<Vec<Vec<u8>>, LogReadError> {
        let path = bundle.path();
        let bytes = self.file(&path)?;
        let entries = bundle.entries(&bytes).map_err(|e| LogReadError::Broken {
            what: path,
            cause: e.to_string(),
        })?;
        Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
    }

    pub fn batch(&self, index: u64) -> Result<Option<Vec<Sha256Digest>>, LogReadError> {
        let path = format!("receipts/{index}");
        let bytes = self.optional(&path)?;
        bytes.map(|bytes| digests(&path, &bytes)).transpose()
    }

    pub fn opening(&self, index: u64) -> Result<Option<(Salt, String)>, LogReadError> {
        let path = format!("openings/{index}");
        let Some(bytes) = self.optional(&path)? else {
            return Ok(None);
        };
        let read = || {
            let value = json::parse(&bytes, MAX_FILE).ok()?;
            let salt = parse_hex(value["salt"].as_str()?).ok()?;
            Some((salt, value["subject"].as_str()?.to_owned()))
        };
        match read() {
            Some(opening) => Ok(Some(opening)),
            None => Err(LogReadError::Broken {
                what: path,
                cause: "not an opening".to_owned(),
            }),
        }
    }

    pub fn file(&self, path: &str) -> Result<Vec<u8>, LogReadError> {
        self.optional(path)?
            .ok_or_else(|| LogReadError::Missing(path.to_owned()))
    }

    fn optional(&self, path: &str) -> Result<Option<Vec<u8>>, LogReadError> {
        inputs::read_inside(&self.0, path, MAX_FILE).map_err(|e| LogReadError::Broken {
            what: path.to_owned(),
            cause: match e {
                Failure::Unreadable { cause, .. } => cause,
                other => other.to_string(),
            },
        })
    }
}
