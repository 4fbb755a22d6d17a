//! A log in the gateway's `audit.sqlite`, opened read-only.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Row, SqliteConnection};
use tokio::sync::Mutex;

use super::source::{LogReadError, digests};
use crate::failure::Failure;
use crate::files;
use attest_core::Sha256Digest;
use attest_core::log::tile::Tile;
use attest_core::log::{Node, Salt, SignedHead};

pub struct Database {
    path: PathBuf,
    /// One connection: queries take turns. An async lock, held across each query.
    connection: Mutex<SqliteConnection>,
    /// How receipts are stored.
    receipts: StoredReceipts,
}

/// The schemas of a batch's receipts.
enum StoredReceipts {
    /// A row for each receipt, in the first schema.
    Rows,
    /// A blob for each batch: a byte, which is 1, and the digests.
    Blobs,
}

impl Database {
    /// A copy without its write-ahead log is read as it is; one with it needs both files.
    pub async fn open(path: &Path) -> Result<Self, Failure> {
        drop(files::open(path)?);
        let beside = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        for ending in ["-wal", "-shm", "-journal"] {
            files::refuse_special(&beside(ending))?;
        }
        let wal = beside("-wal");
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .read_only(true)
            .immutable(!wal.exists())
            // A sort never needs a temporary file, which a confined process could not make.
            .pragma("temp_store", "MEMORY")
            // The file is untrusted: code in its schema must not run.
            .pragma("trusted_schema", "OFF")
            .pragma("cell_size_check", "ON");
        let unreadable = |error| unreadable(path, &error);
        let connection = SqliteConnection::connect_with(&options).await;
        let mut connection = connection.map_err(unreadable)?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut connection)
            .await
            .map_err(unreadable)?;
        Ok(Self {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            receipts: match version {
                ..=1 => StoredReceipts::Rows,
                _ => StoredReceipts::Blobs,
            },
        })
    }

    pub async fn head(&self) -> Result<SignedHead, Failure> {
        let mut connection = self.connection.lock().await;
        let note: Option<String> = sqlx::query_scalar("SELECT note FROM head WHERE id = 1")
            .fetch_optional(&mut *connection)
            .await
            .map_err(|e| unreadable(&self.path, &e))?;
        let what = || format!("{}: head", self.path.display());
        let note = note.ok_or_else(|| Failure::malformed(what(), "there is none"))?;
        SignedHead::parse(note.as_bytes()).map_err(|e| Failure::malformed(what(), e))
    }

    pub async fn entries(&self, bundle: &Tile) -> Result<Vec<Vec<u8>>, LogReadError> {
        let broken = |cause: String| LogReadError::Broken {
            what: "entries".to_owned(),
            cause,
        };
        let range = bundle
            .range()
            .ok_or_else(|| broken("too many".to_owned()))?;
        let mut connection = self.connection.lock().await;
        let rows =
            sqlx::query("SELECT idx, entry FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx")
                .bind(signed(range.start))
                .bind(signed(range.end))
                .fetch_all(&mut *connection)
                .await
                .map_err(|e| broken(e.to_string()))?;
        let mut entries = Vec::with_capacity(rows.len());
        let mut rows = rows.iter();
        for index in range {
            let row = rows
                .next()
                .filter(|row| row.try_get(0).ok() == Some(signed(index)));
            let entry: Option<Vec<u8>> = row.and_then(|row| row.try_get(1).ok());
            entries.push(entry.ok_or_else(|| LogReadError::Missing(format!("entry {index}")))?);
        }
        Ok(entries)
    }

    pub async fn hashes(&self, tile: &Tile) -> Result<Vec<u8>, LogReadError> {
        let path = tile.path();
        let range = tile
            .range()
            .ok_or_else(|| LogReadError::Missing(path.clone()))?;
        let mut connection = self.connection.lock().await;
        let mut bytes = Vec::new();
        for index in range {
            let node = Node {
                level: tile.tree_level(),
                index,
            };
            let hash: Option<Vec<u8>> =
                sqlx::query_scalar("SELECT hash FROM nodes WHERE position = ?")
                    .bind(signed(node.completion()))
                    .fetch_optional(&mut *connection)
                    .await
                    .map_err(|e| LogReadError::Broken {
                        what: path.clone(),
                        cause: e.to_string(),
                    })?;
            bytes.extend(hash.ok_or_else(|| LogReadError::Missing(format!("a hash of {path}")))?);
        }
        Ok(bytes)
    }

    pub async fn batch(&self, index: u64) -> Result<Option<Vec<Sha256Digest>>, LogReadError> {
        let what = format!("receipts of entry {index}");
        let query = match self.receipts {
            StoredReceipts::Rows => "SELECT digest FROM receipts WHERE idx = ? ORDER BY position",
            StoredReceipts::Blobs => "SELECT digests FROM batches WHERE idx = ?",
        };
        let mut connection = self.connection.lock().await;
        let blobs: Vec<Vec<u8>> = sqlx::query_scalar(query)
            .bind(signed(index))
            .fetch_all(&mut *connection)
            .await
            .map_err(|e| broken(&what, e.to_string()))?;
        let bytes = blobs.concat();
        match (&self.receipts, &bytes[..]) {
            (_, []) => Ok(None),
            (StoredReceipts::Rows, bytes) | (StoredReceipts::Blobs, [1, bytes @ ..]) => {
                digests(&what, bytes).map(Some)
            }
            (StoredReceipts::Blobs, _) => Err(broken(&what, "an unknown form".to_owned())),
        }
    }

    pub async fn opening(&self, index: u64) -> Result<Option<(Salt, String)>, LogReadError> {
        let broken = |cause: &str| LogReadError::Broken {
            what: format!("opening of entry {index}"),
            cause: cause.to_owned(),
        };
        let mut connection = self.connection.lock().await;
        let row = sqlx::query("SELECT salt, subject FROM openings WHERE idx = ?")
            .bind(signed(index))
            .fetch_optional(&mut *connection)
            .await
            .map_err(|e| broken(&e.to_string()))?;
        let Some(row) = row else { return Ok(None) };
        let salt: Option<Vec<u8>> = row.try_get(0).ok();
        let salt = salt.and_then(|salt| Salt::try_from(salt).ok());
        match (salt, row.try_get(1).ok()) {
            (Some(salt), Some(subject)) => Ok(Some((salt, subject))),
            _ => Err(broken("not an opening")),
        }
    }
}

/// SQLite has no rows with larger indices than this.
fn signed(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

/// SQLite's result code for a file that is none of its databases.
const SQLITE_NOTADB: &str = "26";

fn unreadable(path: &Path, error: &sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Database(inner) if inner.code().as_deref() == Some(SQLITE_NOTADB) => {
            Failure::malformed(path.display().to_string(), "not an SQLite database")
        }
        other => Failure::Unreadable {
            path: path.to_owned(),
            cause: other.to_string(),
        },
    }
}

fn broken(what: &str, cause: String) -> LogReadError {
    LogReadError::Broken {
        what: what.to_owned(),
        cause,
    }
}
