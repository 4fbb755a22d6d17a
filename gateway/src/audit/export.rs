//! The log as a directory of static files (C2SP `tlog-tiles`), for auditors.
//!
//! ```text
//! checkpoint                 the head
//! tile/<L>/<N>[.p/<W>]       hashes
//! tile/entries/<N>[.p/<W>]   entries
//! receipts/<index>           the digests in the batch at that index, 32 bytes each
//! openings/<index>           what a commitment was made to: {"salt":"<64 hex>","subject":"…"}
//! ```
//!
//! The first three are the layout any reader of such logs knows, and public. The last two name
//! receipts and people: they are for the auditor, and a log is whole without them.

use std::path::Path;

use attest_core::encoding::to_hex;
use attest_core::log::{SignedHead, tile};
use sqlx::Row;

use super::{Altered, AuditError, AuditLog};

/// Why no export was written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("{0}")]
    Audit(#[from] AuditError),
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
    /// The head that was committed last, whichever epoch signed it.
    pub async fn latest_head(&self) -> Result<Option<SignedHead>, AuditError> {
        let note: Option<String> = sqlx::query_scalar("SELECT note FROM head WHERE id = 1")
            .fetch_optional(self.store.readers())
            .await?;
        let head = note.map(|note| SignedHead::parse(note.as_bytes()));
        head.transpose()
            .map_err(|_| self.store.altered(Altered::Head))
    }

    /// Writes everything that the last head counts into `directory`, which is made if it is not there and
    /// must be empty. `private` adds what names receipts and people. Returns the head.
    pub async fn export(&self, directory: &Path, private: bool) -> Result<SignedHead, ExportError> {
        let head = self.latest_head().await?.ok_or(ExportError::NoHead)?;
        let size = head.claimed().size;
        empty(directory)?;
        for tile in tile::bundles(size).chain(tile::hash_tiles(size)) {
            if let Some(bytes) = self.tile(&tile, size).await? {
                write(&directory.join(tile.path()), &bytes)?;
            }
        }
        if private {
            self.export_batches(directory, size).await?;
            self.export_openings(directory, size).await?;
        }
        // Last, so that a directory with a head is a whole one.
        write(&directory.join("checkpoint"), head.note().as_bytes())?;
        Ok(head)
    }

    async fn export_batches(&self, directory: &Path, size: u64) -> Result<(), ExportError> {
        let batches: Vec<i64> =
            sqlx::query_scalar("SELECT DISTINCT idx FROM receipts WHERE idx < ? ORDER BY idx")
                .bind(size as i64)
                .fetch_all(self.store.readers())
                .await
                .map_err(AuditError::from)?;
        for index in batches {
            let digests = self.batch(index as u64).await?;
            let bytes: Vec<u8> = digests
                .iter()
                .flat_map(|digest| *digest.as_bytes())
                .collect();
            write(&directory.join(format!("receipts/{index}")), &bytes)?;
        }
        Ok(())
    }

    async fn export_openings(&self, directory: &Path, size: u64) -> Result<(), ExportError> {
        let rows =
            sqlx::query("SELECT idx, salt, subject FROM openings WHERE idx < ? ORDER BY idx")
                .bind(size as i64)
                .fetch_all(self.store.readers())
                .await
                .map_err(AuditError::from)?;
        for row in rows {
            let read = || -> Result<_, sqlx::Error> {
                let (index, salt): (i64, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
                let subject: String = row.try_get(2)?;
                Ok((index, salt, subject))
            };
            let (index, salt, subject) = read().map_err(AuditError::from)?;
            let opening = serde_json::json!({ "salt": to_hex(&salt), "subject": subject });
            let path = directory.join(format!("openings/{index}"));
            write(&path, opening.to_string().as_bytes())?;
        }
        Ok(())
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
