//! The audit log's file: commits entries, the hashes over them and the head in one transaction, and reads them.

use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use sqlx::{Connection, SqliteConnection, SqliteExecutor, SqlitePool};
use tokio::sync::Mutex;

use super::known_tree::KnownTree;
use super::leaf::{Leaf, Opening};
use super::open::CheckedLog;
use super::unsigned_tail::UNSIGNED;
use super::{CLOSED, digests, in_audit_log, tables};
use crate::error::{Altered, DatabaseName, StoreError};
use crate::sqlite::{self, Database, DatabaseFile, Durability, Extent};
use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_core::log::{
    Checkpoint, Entry, Fact, Frontier, MAX_ENTRY_BYTES, Node, Origin, SignedHead, TreeHash, Word,
    tree,
};
use gateway_base::events::{self, Event};

static AUDIT_LOG: Database = Database {
    name: DatabaseName::AuditLog,
    file: "audit.sqlite",
    // Committed entries survive a power failure.
    commits: Durability::Flushed,
    steps: &[include_str!("schema.sql"), include_str!("batches.sql")],
    large_tables: &["entries", "nodes", "batches", "receipt_runs", "openings"],
};

/// The result of a transaction.
pub(super) struct Committed<T> {
    /// How many entries there were before.
    pub first: u64,
    /// The value that the signing closure returned.
    pub head: T,
    /// Another connection had written to the file: every entry is to be checked.
    pub to_check: bool,
}

/// What only one transaction at a time uses.
struct Writer {
    connection: Handle,
    /// The tree of a service. A command has none: it signs no head, and appends to what it finds.
    known: Option<KnownTree>,
}

/// The only connection that writes.
// A transaction takes the connection out and leaves `Failed`; only a success puts it back.
enum Handle {
    Open(SqliteConnection),
    /// A transaction failed on it, so it is replaced: on a full disk SQLite rolls back a transaction itself, sqlx is not
    /// notified and could not begin another one.
    Failed,
    Closed,
}

impl Writer {
    fn with(connection: Handle) -> Mutex<Self> {
        Mutex::new(Self {
            connection,
            known: None,
        })
    }
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
        Self::open_file(file).await
    }

    pub async fn open(state_dir: &Path) -> Result<Self, StoreError> {
        Self::open_file(AUDIT_LOG.create(state_dir)?).await
    }

    async fn open_file(file: DatabaseFile) -> Result<Self, StoreError> {
        let mut writer = file.connect().await?;
        let origin = begin(&file, &mut writer).await?;
        Ok(Self {
            origin,
            writer: Writer::with(Handle::Open(writer)),
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
            writer: Writer::with(Handle::Closed),
            readers: reading.pool,
        }))
    }

    #[cfg(test)]
    pub async fn connect(&self) -> Result<SqliteConnection, StoreError> {
        self.file.connect().await
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
        let known = &mut writer.known;
        let committed = self.commit_on(&mut connection, known, leaves, sign).await?;
        writer.connection = Handle::Open(connection);
        Ok(committed)
    }

    /// Commits a run of receipts, which ends with the batch at the index `last`.
    pub async fn add_run(&self, last: i64, rows: &[Vec<u8>]) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let mut connection = self.take(&mut writer).await?;
        let added = tables::add_run(&mut connection, last, rows).await;
        added.map_err(in_audit_log)?;
        writer.connection = Handle::Open(connection);
        Ok(())
    }

    /// A number that changes when another connection has written to the file.
    pub async fn version(&self) -> Result<i64, StoreError> {
        let mut writer = self.writer.lock().await;
        let mut connection = self.take(&mut writer).await?;
        let version = sqlite::data_version(&mut connection).await;
        let version = version.map_err(in_audit_log)?;
        writer.connection = Handle::Open(connection);
        Ok(version)
    }

    /// Whether another connection has written to the file of a service.
    pub async fn has_changed(&self) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock().await;
        let mut connection = self.take(&mut writer).await?;
        let changed = match &writer.known {
            Some(known) => known.has_changed(&mut connection).await,
            None => Ok(false),
        };
        let changed = changed.map_err(in_audit_log)?;
        writer.connection = Handle::Open(connection);
        Ok(changed)
    }

    /// Begins to compare the file with what was checked when it had this version. Returns `false` if it has another one by
    /// now: it has to be checked again.
    pub async fn continue_log(
        &self,
        checked: CheckedLog,
        version: i64,
    ) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock().await;
        let mut connection = self.take(&mut writer).await?;
        let transaction = sqlite::begin_writing(&mut connection).await;
        let mut transaction = transaction.map_err(in_audit_log)?;
        let now = sqlite::data_version(&mut transaction).await;
        let is_checked = now.map_err(in_audit_log)? == version;
        if let Some(index) = checked.tail.of_epoch.filter(|_| is_checked) {
            return Err(self.altered(Altered::Unsigned { index }));
        }
        let removed = checked.tail.removed;
        let tree = match is_checked && removed > 0 {
            true => self.rewrite_tail(&mut transaction, &checked).await?,
            false => checked.tree,
        };
        transaction.commit().await.map_err(in_audit_log)?;
        if is_checked {
            writer.known = Some(KnownTree::new(tree, version));
            if removed > 0 {
                events::emit(Event::AuditEntriesRemoved { count: removed });
            }
        }
        writer.connection = Handle::Open(connection);
        Ok(is_checked)
    }

    /// Removes what follows the last head, and enters the commands' entries again, and the number of the others.
    async fn rewrite_tail(
        &self,
        connection: &mut SqliteConnection,
        checked: &CheckedLog,
    ) -> Result<Frontier, StoreError> {
        let mut tree = checked.signed.clone();
        let mut leaves = Vec::new();
        for (index, entry) in &checked.tail.kept {
            let opening = tables::opening(&mut *connection, *index).await;
            let opening = opening.map_err(in_audit_log)?.and_then(Opening::from_row);
            leaves.push(Leaf {
                entry: entry.clone(),
                opening,
                receipts: Vec::new(),
            });
        }
        leaves.push(Leaf::plain(Entry {
            at: SystemClock.now(),
            fact: Fact::RowsLost {
                kind: Word::parse(UNSIGNED).map_err(|_| CLOSED)?,
                count: checked.tail.removed,
            },
        }));
        let first = Node {
            level: 0,
            index: tree.size(),
        };
        let removed = tables::remove_from(connection, tree.size(), position(first)).await;
        removed.map_err(in_audit_log)?;
        for leaf in &leaves {
            insert(connection, &mut tree, leaf).await?;
        }
        Ok(tree)
    }

    /// The tree of a service, of which every entry was appended by this process or verified; `None` for a command.
    pub async fn known_entries(&self) -> Option<Frontier> {
        let writer = self.writer.lock().await;
        writer.known.as_ref().map(|known| known.entries().clone())
    }

    /// No head is signed any more.
    pub async fn set_altered(&self, what: Altered) {
        if let Some(known) = &mut self.writer.lock().await.known {
            known.set_altered(what);
        }
    }

    /// The connection, for one transaction.
    async fn take(&self, writer: &mut Writer) -> Result<SqliteConnection, StoreError> {
        match std::mem::replace(&mut writer.connection, Handle::Failed) {
            Handle::Open(connection) => Ok(connection),
            Handle::Failed => {
                let connection = self.file.connect().await?;
                if let Some(known) = &mut writer.known {
                    known.reconnected();
                }
                Ok(connection)
            }
            Handle::Closed => {
                writer.connection = Handle::Closed;
                Err(CLOSED)
            }
        }
    }

    async fn commit_on<T>(
        &self,
        connection: &mut SqliteConnection,
        known: &mut Option<KnownTree>,
        leaves: &[Leaf],
        sign: impl FnOnce(&Checkpoint) -> (Option<SignedHead>, T),
    ) -> Result<Committed<T>, StoreError> {
        let transaction = sqlite::begin_writing(connection).await;
        let mut transaction = transaction.map_err(in_audit_log)?;
        let mut frontier = match known {
            Some(known) => {
                known.compare(self, &mut transaction).await?;
                known.entries().clone()
            }
            // A command: the service or another one may have appended since the last transaction.
            None => self.stored_tree(&mut transaction).await?,
        };
        let first = frontier.size();
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
        let committed = transaction.commit().await.map_err(in_audit_log);
        let known = known.as_mut();
        if let Err(error) = committed {
            known
                .into_iter()
                .for_each(|known| known.set_uncertain(frontier.clone()));
            return Err(error);
        }
        Ok(Committed {
            first,
            head: signed,
            to_check: known.is_some_and(|known| known.advance(frontier)),
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
        let mut writer = self.writer.lock().await;
        let connection = std::mem::replace(&mut writer.connection, Handle::Closed);
        if let Handle::Open(connection) = connection {
            let _ = connection.close().await;
        }
    }

    pub fn altered(&self, what: Altered) -> StoreError {
        StoreError::Altered {
            path: self.path().to_owned(),
            what,
        }
    }

    pub async fn stored_tree(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Frontier, StoreError> {
        let size = tables::size(&mut *connection).await.map_err(in_audit_log)?;
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
