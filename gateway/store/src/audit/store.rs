//! The audit log's file: commits entries, the hashes over them and the head in one transaction, and reads them.

use std::collections::BTreeMap;
use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use sqlx::{Connection, SqliteConnection, SqliteExecutor, SqlitePool};
use tokio::sync::Mutex;

use super::{CLOSED, digests, in_audit_log, tables};
use crate::error::{Altered, DatabaseName, StoreError};
use crate::sqlite::{self, Database, DatabaseFile, Durability, Extent};
use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_core::log::{
    Checkpoint, Entry, Fact, Frontier, MAX_ENTRY_BYTES, Node, Origin, SignedHead, TreeHash, tree,
};
use attest_core::{Sha256Digest, UnixTime};

static AUDIT_LOG: Database = Database {
    name: DatabaseName::AuditLog,
    file: "audit.sqlite",
    // Committed entries survive a power failure.
    commits: Durability::Flushed,
    steps: &[include_str!("schema.sql"), include_str!("batches.sql")],
    large_tables: &["entries", "nodes", "batches", "receipt_runs", "openings"],
};

/// The opening of a commitment.
#[derive(Clone)]
pub(super) struct Opening {
    pub salt: [u8; 32],
    pub subject: String,
}

/// An entry to be committed, with the data that is stored beside it.
pub(super) struct Leaf {
    pub entry: Entry,
    pub opening: Option<Opening>,
    pub receipts: Vec<Sha256Digest>,
}

impl Leaf {
    pub fn plain(entry: Entry) -> Self {
        Self {
            entry,
            opening: None,
            receipts: Vec::new(),
        }
    }
}

/// The result of a transaction.
pub(super) struct Committed<T> {
    /// How many entries there were before.
    pub first: u64,
    /// The value that the signing closure returned.
    pub head: T,
}

/// The only connection that writes.
// A transaction takes the connection out of the mutex's value and leaves `Failed`; only a success puts it back.
enum Writer {
    Open(SqliteConnection),
    /// A transaction failed on it, so it is replaced: on a full disk SQLite rolls back a transaction itself, sqlx is not
    /// notified and could not begin another one.
    Failed,
    Closed,
}

pub(super) struct Store {
    file: DatabaseFile,
    origin: Origin,
    // Locked for a whole transaction: it orders the commits of this process.
    writer: Mutex<Writer>,
    readers: SqlitePool,
}

impl Store {
    /// Opens the file after an integrity check.
    pub async fn open_checked(state_dir: &Path) -> Result<Self, StoreError> {
        let file = AUDIT_LOG.create(state_dir)?;
        file.check(Extent::WholeFile).await?;
        Self::connect(file).await
    }

    pub async fn open(state_dir: &Path) -> Result<Self, StoreError> {
        Self::connect(AUDIT_LOG.create(state_dir)?).await
    }

    async fn connect(file: DatabaseFile) -> Result<Self, StoreError> {
        let mut writer = file.connect().await?;
        let origin = begin(&file, &mut writer).await?;
        Ok(Self {
            origin,
            writer: Mutex::new(Writer::Open(writer)),
            readers: file.reading_pool(2).await?,
            file,
        })
    }

    /// Opens the file for reading and changes nothing; `None` if there is no log yet.
    pub async fn open_to_read(state_dir: &Path) -> Result<Option<Self>, StoreError> {
        let reading = AUDIT_LOG.open_reading(state_dir).await?;
        let Some(reading) = reading.filter(|reading| reading.version > 0) else {
            return Ok(None);
        };
        let origin = first_entry(&reading.file, &reading.pool).await?;
        Ok(Some(Self {
            file: reading.file,
            origin,
            writer: Mutex::new(Writer::Closed),
            readers: reading.pool,
        }))
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    pub fn origin(&self) -> Origin {
        self.origin
    }

    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Commits entries, and the head over all of them if `sign` returns one. Flushed to the disk when it returns.
    pub async fn commit<T>(
        &self,
        leaves: &[Leaf],
        sign: impl FnOnce(&Checkpoint) -> (Option<SignedHead>, T),
    ) -> Result<Committed<T>, StoreError> {
        let mut writer = self.writer.lock().await;
        let mut connection = self.take(&mut writer).await?;
        let committed = self.commit_on(&mut connection, leaves, sign).await?;
        *writer = Writer::Open(connection);
        Ok(committed)
    }

    /// Commits a run of receipts, which ends with the batch at the index `last`.
    pub async fn add_run(&self, last: i64, rows: &[Vec<u8>]) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let mut connection = self.take(&mut writer).await?;
        let added = tables::add_run(&mut connection, last, rows).await;
        added.map_err(in_audit_log)?;
        *writer = Writer::Open(connection);
        Ok(())
    }

    /// The connection, for one transaction.
    async fn take(&self, writer: &mut Writer) -> Result<SqliteConnection, StoreError> {
        match std::mem::replace(writer, Writer::Failed) {
            Writer::Open(connection) => Ok(connection),
            Writer::Failed => self.file.connect().await,
            Writer::Closed => {
                *writer = Writer::Closed;
                Err(CLOSED)
            }
        }
    }

    async fn commit_on<T>(
        &self,
        connection: &mut SqliteConnection,
        leaves: &[Leaf],
        sign: impl FnOnce(&Checkpoint) -> (Option<SignedHead>, T),
    ) -> Result<Committed<T>, StoreError> {
        let transaction = sqlite::begin_writing(connection).await;
        let mut transaction = transaction.map_err(in_audit_log)?;
        // Read in the transaction: another process may have appended since the last one.
        let first = tables::size(&mut *transaction)
            .await
            .map_err(in_audit_log)?;
        let mut frontier = self.frontier(&mut transaction, first).await?;
        for leaf in leaves {
            insert(&mut transaction, &mut frontier, leaf).await?;
        }
        let (head, signed) = sign(&Checkpoint {
            origin: self.origin,
            size: frontier.size(),
            root: frontier.root(),
        });
        if let Some(head) = head {
            let set = tables::set_head(&mut *transaction, head.note()).await;
            set.map_err(in_audit_log)?;
        }
        transaction.commit().await.map_err(in_audit_log)?;
        Ok(Committed {
            first,
            head: signed,
        })
    }

    /// How many entries there are.
    pub async fn size(&self) -> Result<u64, StoreError> {
        tables::size(&self.readers).await.map_err(in_audit_log)
    }

    /// The head that was committed last, of any epoch.
    pub async fn head(&self) -> Result<Option<SignedHead>, StoreError> {
        let note = tables::head(&self.readers).await.map_err(in_audit_log)?;
        let head = note.map(|note| SignedHead::parse(note.as_bytes()));
        head.transpose().map_err(|_| self.altered(Altered::Head))
    }

    /// The hash over each of these ranges of leaves.
    pub async fn hashes(
        &self,
        ranges: &[std::ops::Range<u64>],
    ) -> Result<Vec<TreeHash>, StoreError> {
        let parts: Vec<_> = ranges.iter().map(tree::subtrees).collect();
        let found = self.nodes(&self.readers, &parts.concat()).await?;
        let mut found = found.into_iter();
        let hashes = parts.iter().map(|part| {
            let part: Vec<_> = found.by_ref().take(part.len()).collect();
            tree::fold(&part)
        });
        Ok(hashes.collect())
    }

    /// Closes the file, which also writes the write-ahead log back to the database.
    pub async fn close(&self) {
        // The readers first: the last connection to close writes the write-ahead log back, and it must be able to write.
        self.readers.close().await;
        let writer = std::mem::replace(&mut *self.writer.lock().await, Writer::Closed);
        if let Writer::Open(connection) = writer {
            let _ = connection.close().await;
        }
    }

    pub fn altered(&self, what: Altered) -> StoreError {
        StoreError::Altered {
            path: self.path().to_owned(),
            what,
        }
    }

    async fn frontier(
        &self,
        connection: &mut SqliteConnection,
        size: u64,
    ) -> Result<Frontier, StoreError> {
        let hashes = self.nodes(connection, &tree::subtrees(&(0..size))).await?;
        Frontier::resume(size, hashes).ok_or_else(|| self.altered(Altered::Missing { index: size }))
    }

    async fn nodes(
        &self,
        on: impl SqliteExecutor<'_>,
        nodes: &[Node],
    ) -> Result<Vec<TreeHash>, StoreError> {
        let positions: Vec<_> = nodes.iter().copied().map(position).collect();
        let found = tables::nodes_at(on, &positions).await;
        let found = found.map_err(in_audit_log)?;
        let hashes = positions.iter().map(|position| {
            let hash = found
                .get(position)
                .and_then(|hash| <[u8; 32]>::try_from(&hash[..]).ok());
            let missing = Altered::Hash {
                position: *position,
            };
            hash.map(TreeHash::from_bytes)
                .ok_or_else(|| self.altered(missing))
        });
        hashes.collect()
    }
}

/// The position of a subtree's hash in the table `nodes`.
pub(super) fn position(node: Node) -> i64 {
    node.completion() as i64
}

async fn insert(
    connection: &mut SqliteConnection,
    frontier: &mut Frontier,
    leaf: &Leaf,
) -> Result<(), StoreError> {
    let bytes = leaf.entry.to_bytes();
    if bytes.len() > MAX_ENTRY_BYTES {
        return Err(StoreError::TooLong { len: bytes.len() });
    }
    let index = frontier.size();
    let mut completed = Vec::new();
    frontier.push(tree::leaf(&bytes), |node, hash| {
        completed.push((node, hash))
    });
    let written = insert_rows(connection, index, &bytes, &completed, leaf).await;
    written.map_err(in_audit_log)
}

async fn insert_rows(
    connection: &mut SqliteConnection,
    index: u64,
    entry: &[u8],
    completed: &[(Node, TreeHash)],
    leaf: &Leaf,
) -> Result<(), sqlx::Error> {
    tables::add_entry(&mut *connection, index, entry).await?;
    for (node, hash) in completed {
        tables::add_node(&mut *connection, position(*node), hash.as_bytes()).await?;
    }
    if !leaf.receipts.is_empty() {
        let digests = digests::to_blob(&leaf.receipts);
        tables::add_batch(&mut *connection, index, &digests).await?;
    }
    if let Some(opening) = &leaf.opening {
        tables::add_opening(&mut *connection, index, opening).await?;
    }
    Ok(())
}

/// Creates the tables and the first entry if they are missing. Returns the log's origin.
async fn begin(
    file: &DatabaseFile,
    connection: &mut SqliteConnection,
) -> Result<Origin, StoreError> {
    let (mut transaction, found) = file.migrate(connection).await?;
    if found > 0 {
        let origin = first_entry(file, &mut *transaction).await?;
        transaction.commit().await.map_err(in_audit_log)?;
        return Ok(origin);
    }
    let mut name = [0; 16];
    SystemRandom::new()
        .fill(&mut name)
        .map_err(|_| StoreError::Random)?;
    let origin = Origin::from_bytes(name);
    let began = Leaf::plain(Entry {
        at: SystemClock.now(),
        fact: Fact::Began { origin },
    });
    insert(&mut transaction, &mut Frontier::default(), &began).await?;
    transaction.commit().await.map_err(in_audit_log)?;
    Ok(origin)
}

/// The log's origin, from its first entry.
async fn first_entry(
    file: &DatabaseFile,
    on: impl SqliteExecutor<'_>,
) -> Result<Origin, StoreError> {
    let first = tables::entry(on, 0).await.map_err(in_audit_log)?;
    let first = first.and_then(|bytes| Entry::parse(&bytes).ok());
    match first.map(|entry| entry.fact) {
        Some(Fact::Began { origin }) => Ok(origin),
        _ => Err(StoreError::Altered {
            path: file.path().to_owned(),
            what: Altered::Beginning,
        }),
    }
}

/// The entries of a batch.
pub(super) fn leaves(at: UnixTime, batch: &super::entry_queue::Batch) -> Vec<Leaf> {
    let mut leaves: Vec<_> = batch.notes.iter().cloned().map(Leaf::plain).collect();
    let counts: &BTreeMap<_, _> = &batch.refused;
    if !counts.is_empty() {
        let counts = counts.clone();
        leaves.push(Leaf::plain(Entry {
            at,
            fact: Fact::Refused { counts },
        }));
    }
    for batch in batch.receipts.chunks(MAX_BATCH) {
        let root = attest_core::log::receipts_root(batch);
        leaves.push(Leaf {
            entry: Entry {
                at,
                fact: Fact::Receipts { root },
            },
            opening: None,
            receipts: batch.to_vec(),
        });
    }
    if batch.receipts_lost > 0 {
        let count = batch.receipts_lost;
        leaves.push(Leaf::plain(Entry {
            at,
            fact: Fact::ReceiptsLost { count },
        }));
    }
    let lost = batch.rows_lost.iter();
    leaves.extend(lost.map(|(kind, count)| {
        Leaf::plain(Entry {
            at,
            fact: Fact::RowsLost {
                kind: kind.clone(),
                count: *count,
            },
        })
    }));
    leaves
}

/// The most receipts in one batch.
const MAX_BATCH: usize = 4096;
