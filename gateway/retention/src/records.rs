//! Storage of sealed records: a row in the ledger, a file for the request and a file for the response.
//!
//! The row is created first and deleted last, so that every file is found by the purge. Files are encrypted from their
//! first byte; there are no temporary files. A file is named after the receipt's id, never after its content.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use attest_core::log::PurgeReason;
use attest_core::retention::{Deletion, Recipient, Terms};
use attest_core::{Sha256Digest, UnixTime};

use super::age::{SealError, Sealer};
use super::deletion_entry::enter_deletion;
use gateway_base::request::Caller;
use gateway_base::store_failure::{Cause, StoreFailure};
use gateway_store::StoreError;
use gateway_store::ledger::{Ledger, RecordRow, RecordState};

const FOLDER: &str = "records";

/// Why a record could not be begun, or deleted.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("{0}")]
    Ledger(#[from] StoreError),
    #[error("{0}")]
    Seal(#[from] SealError),
    #[error("cannot delete {}: {error}", file.display())]
    Delete { file: PathBuf, error: io::Error },
    /// The policy does not allow a record.
    #[error("there is nothing to record")]
    NoContent,
    /// A blocking task panicked or was cancelled.
    #[error("the record's task failed")]
    Task,
}

impl RecordError {
    /// The failure's cause, with SQLite's code if there is one.
    pub fn failure(&self) -> StoreFailure {
        match self {
            RecordError::Ledger(error) => error.failure(),
            RecordError::Seal(_) | RecordError::Delete { .. } => {
                StoreFailure::without_code(Cause::Io)
            }
            RecordError::NoContent | RecordError::Task => StoreFailure::without_code(Cause::Other),
        }
    }
}

/// Request or response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Request,
    Response,
}

impl Part {
    pub const ALL: [Part; 2] = [Part::Request, Part::Response];

    pub fn as_str(self) -> &'static str {
        match self {
            Part::Request => "request",
            Part::Response => "response",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.as_str() == text)
    }
}

/// All records of a service.
#[derive(Clone)]
pub struct Records {
    folder: Arc<Path>,
    ledger: Arc<Ledger>,
}

/// A record that is being written.
pub struct Record {
    records: Records,
    receipt_id: String,
    recipients: Vec<Recipient>,
}

/// A file of a record, being written.
pub type SealedFile = Sealer<File>;

impl Records {
    pub fn new(state_dir: &Path, ledger: Arc<Ledger>) -> Self {
        Self {
            folder: state_dir.join(FOLDER).into(),
            ledger,
        }
    }

    /// Begins the record of a request.
    pub async fn begin(
        &self,
        receipt_id: &str,
        caller: &Caller,
        policy: Sha256Digest,
        terms: &Terms,
    ) -> Result<Record, RecordError> {
        let Terms::Content {
            kept,
            recipients,
            deletion,
        } = terms
        else {
            return Err(RecordError::NoContent);
        };
        let now = self.ledger.clock().now();
        let row = RecordRow {
            receipt_id: receipt_id.to_owned(),
            tenant: caller.tenant.clone(),
            key_digest: caller.key_digest,
            policy,
            deletable: *deletion == Deletion::Caller,
            sealed_at: now,
            expires_at: now.plus(kept.ttl),
        };
        // The row before the first file: a file without a row would never be deleted.
        self.ledger.records().add(&row).await?;
        Ok(Record {
            records: self.clone(),
            receipt_id: receipt_id.to_owned(),
            recipients: recipients.clone(),
        })
    }

    /// The sealed file, for the API key that made the request.
    pub async fn find(
        &self,
        receipt_id: &str,
        key_digest: &[u8; 32],
        part: Part,
    ) -> Result<Option<Vec<u8>>, RecordError> {
        if self
            .ledger
            .records()
            .find(receipt_id, key_digest)
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let file = self.file(receipt_id, part);
        let read = tokio::task::spawn_blocking(move || fs::read(file)).await;
        Ok(read.map_err(|_| RecordError::Task)?.ok())
    }

    /// Deletes a record at the request of its caller, if the policy allows that.
    pub async fn delete_for_caller(
        &self,
        receipt_id: &str,
        key_digest: &[u8; 32],
    ) -> Result<DeletionResult, RecordError> {
        match self.ledger.records().find(receipt_id, key_digest).await? {
            None => Ok(DeletionResult::NotFound),
            // `deletable` was stored with the record: a later policy does not change what its caller was promised.
            Some(row) if !row.deletable => Ok(DeletionResult::NotAllowed),
            Some(_) => self.delete_for_operator(receipt_id).await,
        }
    }

    /// Deletes a record and enters that into the audit log. The caller of this function has checked the permission.
    pub async fn delete_for_operator(
        &self,
        receipt_id: &str,
    ) -> Result<DeletionResult, RecordError> {
        let deleted = self.delete(receipt_id).await?;
        if deleted == DeletionResult::Deleted {
            enter_deletion(&self.ledger, "records", 1, PurgeReason::Requested);
        }
        Ok(deleted)
    }

    /// Deletes a record: its files, then its row.
    async fn delete(&self, receipt_id: &str) -> Result<DeletionResult, RecordError> {
        let files = Part::ALL.map(|part| self.file(receipt_id, part));
        let unlink = move || {
            for file in files {
                match fs::remove_file(&file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(RecordError::Delete { file, error });
                    }
                    _ => {}
                }
            }
            Ok(())
        };
        // The files before the row, for the same reason: if it fails between, the row is still there and the deletion
        // is repeated.
        let done = tokio::task::spawn_blocking(unlink).await;
        done.map_err(|_| RecordError::Task)??;
        Ok(match self.ledger.records().remove(receipt_id).await? {
            true => DeletionResult::Deleted,
            false => DeletionResult::NotFound,
        })
    }

    /// Deletes every expired record. Returns how many.
    pub async fn purge(&self, now: UnixTime) -> Result<u64, RecordError> {
        let mut deleted = 0;
        loop {
            let expired = self.ledger.records().expired(now).await?;
            if expired.is_empty() {
                return Ok(deleted);
            }
            for receipt_id in expired {
                self.delete(&receipt_id).await?;
                deleted += 1;
            }
        }
    }

    fn file(&self, receipt_id: &str, part: Part) -> PathBuf {
        // Ids are ours: a word and hexadecimal digits. The filter ensures that a path never leaves the folder.
        let name: String = receipt_id
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect();
        self.folder.join(format!("{name}.{}.age", part.as_str()))
    }
}

/// The result of a deletion request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionResult {
    Deleted,
    NotFound,
    /// Under the policy that it was sealed under, only the operator may delete it.
    NotAllowed,
}

impl Record {
    /// Opens the file for the request or the response. Blocks.
    pub fn open(&self, part: Part) -> Result<SealedFile, SealError> {
        let folder = &self.records.folder;
        if !folder.is_dir() {
            fs::DirBuilder::new()
                .mode(0o700)
                .create(folder)
                .or_else(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists if folder.is_dir() => Ok(()),
                    _ => Err(error),
                })?;
        }
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.records.file(&self.receipt_id, part))?;
        Sealer::begin(file, &self.recipients)
    }

    /// Writes the last chunk and flushes the file to the disk. Blocks.
    pub fn close(&self, mut file: SealedFile) -> Result<(), SealError> {
        file.finish()?.sync_all()?;
        File::open(&self.records.folder)?.sync_all()?;
        Ok(())
    }

    /// Stores how it ended.
    pub async fn store_state(&self, state: RecordState) {
        // The files are complete all the same. If the state cannot be stored, the record stays "open".
        let ledger = &self.records.ledger;
        let _ = ledger.records().set_state(&self.receipt_id, state).await;
    }
}
