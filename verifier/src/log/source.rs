//! The sources of a log.

use std::path::Path;

use attest_core::Sha256Digest;
use attest_core::log::tile::Tile;
use attest_core::log::{Salt, SignedHead};

use super::database::Database;
use super::directory::Directory;
use crate::failure::Failure;

/// An exported directory, or a copy of the database.
pub enum Source {
    Directory(Directory),
    Database(Database),
}

/// A part of the log that is missing or invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogReadError {
    #[error("{0} is missing")]
    Missing(String),
    #[error("{what}: {cause}")]
    Broken { what: String, cause: String },
}

impl Source {
    pub async fn open(directory: Option<&Path>, database: Option<&Path>) -> Result<Self, Failure> {
        match (directory, database) {
            (Some(path), None) => Directory::open(path).map(Self::Directory),
            (None, Some(path)) => Database::open(path).await.map(Self::Database),
            _ => Err(Failure::Usage(
                "the log is missing: give --export or --database".to_owned(),
            )),
        }
    }

    /// The log's head.
    pub async fn head(&self) -> Result<SignedHead, Failure> {
        match self {
            Self::Directory(directory) => directory.head(),
            Self::Database(database) => database.head().await,
        }
    }

    /// The entries of a bundle.
    pub async fn entries(&self, bundle: &Tile) -> Result<Vec<Vec<u8>>, LogReadError> {
        match self {
            Self::Directory(directory) => directory.entries(bundle),
            Self::Database(database) => database.entries(bundle).await,
        }
    }

    /// A tile of hashes, as bytes.
    pub async fn hashes(&self, tile: &Tile) -> Result<Vec<u8>, LogReadError> {
        match self {
            Self::Directory(directory) => directory.file(&tile.path()),
            Self::Database(database) => database.hashes(tile).await,
        }
    }

    /// The receipts of the batch at this index, if the source has them.
    pub async fn batch(&self, index: u64) -> Result<Option<Vec<Sha256Digest>>, LogReadError> {
        match self {
            Self::Directory(directory) => directory.batch(index),
            Self::Database(database) => database.batch(index).await,
        }
    }

    /// The subject of the entry at this index, if the source has it.
    pub async fn opening(&self, index: u64) -> Result<Option<(Salt, String)>, LogReadError> {
        match self {
            Self::Directory(directory) => directory.opening(index),
            Self::Database(database) => database.opening(index).await,
        }
    }
}

pub(super) fn digests(what: &str, bytes: &[u8]) -> Result<Vec<Sha256Digest>, LogReadError> {
    let (digests, []) = bytes.as_chunks() else {
        return Err(LogReadError::Broken {
            what: what.to_owned(),
            cause: "not a whole number of digests".to_owned(),
        });
    };
    Ok(digests
        .iter()
        .copied()
        .map(Sha256Digest::from_bytes)
        .collect())
}
