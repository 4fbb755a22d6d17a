//! The log as static files (C2SP `tlog-tiles`), for auditors: in a directory, or one after another.
//!
//! ```text
//! checkpoint                 the head
//! tile/<L>/<N>[.p/<W>]       hashes
//! tile/entries/<N>[.p/<W>]   entries
//! receipts/<index>           the digests in the batch at that index, 32 bytes each
//! openings/<index>           the opening of a commitment: {"salt":"<64 hex>","subject":"…"}
//! ```
//!
//! The first three are the public standard layout. The last two name receipts and people: they are for the auditor only,
//! and a log is complete without them.

use std::path::Path;

use attest_core::log::SignedHead;
use attest_core::log::tile::{self, Tile};
use attest_core::to_hex;

use super::{AuditLog, in_audit_log, tables};
use crate::error::StoreError;

/// Why no export was written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("{0}")]
    Audit(#[from] StoreError),
    #[error("the log has no head yet: no service has run with it")]
    NoHead,
    #[error("{path} is there already and not empty")]
    NotEmpty { path: String },
    #[error("cannot write {path}: {source}")]
    Write {
        path: String,
        source: std::io::Error,
    },
}

impl AuditLog {
    /// The head that was committed last, of any epoch.
    pub async fn latest_head(&self) -> Result<Option<SignedHead>, StoreError> {
        self.store.head().await
    }

    /// Begins an export of everything that the last head counts. `private` adds what names receipts and people.
    pub async fn begin_export(&self, private: bool) -> Result<Export, ExportError> {
        let head = self.latest_head().await?.ok_or(ExportError::NoHead)?;
        let size = head.claimed().size;
        let tiles = tile::bundles(size).chain(tile::hash_tiles(size));
        let mut files: Vec<_> = tiles.map(File::Tile).collect();
        if private {
            let batches = tables::batches(self.store.readers(), size).await;
            files.extend(batches.map_err(in_audit_log)?.into_iter().map(File::Batch));
            let openings = tables::openings(self.store.readers(), size).await;
            let openings = openings.map_err(in_audit_log)?;
            files.extend(openings.into_iter().map(File::Opening));
        }
        // Last, so that an export with a head is complete.
        files.push(File::Checkpoint);
        Ok(Export {
            head,
            files: files.into_iter(),
        })
    }

    /// Writes an export into `directory`, which is made if it is not there and must be empty. Returns the head.
    pub async fn export(&self, directory: &Path, private: bool) -> Result<SignedHead, ExportError> {
        let mut export = self.begin_export(private).await?;
        empty(directory)?;
        while let Some((path, bytes)) = export.next(self).await? {
            write(&directory.join(path), &bytes)?;
        }
        Ok(export.head)
    }

    async fn opening(&self, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let opening = tables::opening(self.store.readers(), index).await;
        let Some((salt, subject)) = opening.map_err(in_audit_log)? else {
            return Ok(None);
        };
        let opening = serde_json::json!({ "salt": to_hex(&salt), "subject": subject });
        Ok(Some(opening.to_string().into_bytes()))
    }
}

/// One file of an export.
enum File {
    Tile(Tile),
    Batch(u64),
    Opening(u64),
    Checkpoint,
}

/// A running export: returns the files of the log as it was at the start, one after another.
pub struct Export {
    head: SignedHead,
    files: std::vec::IntoIter<File>,
}

impl Export {
    /// The next file: its path below the export, and what is in it.
    pub async fn next(&mut self, log: &AuditLog) -> Result<Option<(String, Vec<u8>)>, ExportError> {
        let size = self.head.claimed().size;
        for file in self.files.by_ref() {
            let (path, bytes) = match file {
                File::Tile(tile) => (tile.path(), log.tile(&tile, size).await?),
                File::Batch(index) => {
                    let digests = log.batch(index).await?;
                    let bytes = digests.iter().flat_map(|digest| *digest.as_bytes());
                    (format!("receipts/{index}"), Some(bytes.collect()))
                }
                // `None` if the opening was deleted meanwhile.
                File::Opening(index) => (format!("openings/{index}"), log.opening(index).await?),
                File::Checkpoint => {
                    let note = self.head.note().as_bytes().to_vec();
                    ("checkpoint".to_owned(), Some(note))
                }
            };
            if let Some(bytes) = bytes {
                return Ok(Some((path, bytes)));
            }
        }
        Ok(None)
    }
}

fn empty(directory: &Path) -> Result<(), ExportError> {
    let failed = |source| ExportError::Write {
        path: directory.display().to_string(),
        source,
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    let mut files = std::fs::read_dir(directory).map_err(failed)?;
    match files.next() {
        None => Ok(()),
        Some(_) => Err(ExportError::NotEmpty {
            path: directory.display().to_string(),
        }),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    let parent = path.parent().unwrap_or(path);
    std::fs::create_dir_all(parent)
        .and_then(|()| std::fs::write(path, bytes))
        .map_err(|source| ExportError::Write {
            path: path.display().to_string(),
            source,
        })
}
