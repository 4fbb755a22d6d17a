//! The tree of the entries that this process appended or verified, in memory.
//!
//! A head is signed over this tree and never over what the file contains: another process with access to the file could
//! enter a batch of receipts, and a head of this epoch's key would be their evidence. The file is compared with the tree
//! whenever another connection has written to it. Commands that run beside the service enter administrators' actions and
//! deletions; these, and no others, are added to the tree. After any other difference no head is signed until the next
//! start, which verifies the whole log.
//!
//! The comparison in a transaction covers the number of entries, the hashes at the right edge and new entries. A task
//! reads the rest, entry by entry, meanwhile.

use sqlx::SqliteConnection;

use super::store::{Store, position};
use super::{in_audit_log, tables};
use crate::error::{Altered, StoreError};
use crate::sqlite;
use attest_core::log::{Entry, Fact, Frontier, PurgeReason, Purged, tree};

pub(super) struct KnownTree {
    entries: Frontier,
    /// The tree of a transaction whose commit failed. The file may have it or not.
    uncertain: Option<Frontier>,
    /// The file's version when it was last compared; `None` on a new connection.
    version: Option<i64>,
    /// Another connection wrote to the file since the last check of every entry.
    to_check: bool,
    altered: Option<Altered>,
}

impl KnownTree {
    /// A tree that was verified in the file's version `version`.
    pub fn new(entries: Frontier, version: i64) -> Self {
        Self {
            entries,
            uncertain: None,
            version: Some(version),
            to_check: false,
            altered: None,
        }
    }

    pub fn entries(&self) -> &Frontier {
        &self.entries
    }

    /// The entries were committed. Returns whether every entry of the file is to be checked now.
    pub fn advance(&mut self, entries: Frontier) -> bool {
        self.entries = entries;
        std::mem::take(&mut self.to_check)
    }

    /// Whether there is something to compare.
    pub async fn has_changed(&self, on: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
        let version = sqlite::data_version(on).await?;
        Ok(self.altered.is_some() || self.version != Some(version))
    }

    /// The commit of these entries failed, perhaps after it had taken place.
    pub fn set_uncertain(&mut self, entries: Frontier) {
        self.uncertain = Some(entries);
    }

    /// The file is open on another connection, which counts its versions differently.
    pub fn reconnected(&mut self) {
        self.version = None;
    }

    /// The file differs. Permanent: see the module.
    pub fn set_altered(&mut self, what: Altered) {
        self.altered.get_or_insert(what);
    }

    /// Compares the file with the tree, in a transaction, if another connection wrote to it. Adds the entries of commands.
    pub async fn compare(
        &mut self,
        store: &Store,
        on: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        if let Some(what) = &self.altered {
            return Err(store.altered(what.clone()));
        }
        let version = sqlite::data_version(on).await.map_err(in_audit_log)?;
        if self.version == Some(version) && self.uncertain.is_none() {
            return Ok(());
        }
        match self.compare_all(store, on).await {
            Ok(()) => {
                self.version = Some(version);
                self.to_check = true;
                Ok(())
            }
            Err(StoreError::Altered { what, path }) => {
                self.set_altered(what.clone());
                Err(StoreError::Altered { what, path })
            }
            Err(error) => Err(error),
        }
    }

    async fn compare_all(
        &mut self,
        store: &Store,
        on: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        if let Some(uncertain) = &self.uncertain {
            if edge_difference(on, uncertain).await?.is_none() {
                self.entries = uncertain.clone();
            }
            self.uncertain = None;
        }
        let size = tables::size(&mut *on).await.map_err(in_audit_log)?;
        if size < self.entries.size() {
            return Err(store.altered(Altered::Missing { index: size }));
        }
        if let Some(position) = edge_difference(on, &self.entries).await? {
            return Err(store.altered(Altered::Hash { position }));
        }
        self.entries = self.with_entries_of_commands(store, on, size).await?;
        match edge_difference(on, &self.entries).await? {
            None => Ok(()),
            Some(position) => Err(store.altered(Altered::Hash { position })),
        }
    }

    async fn with_entries_of_commands(
        &self,
        store: &Store,
        on: &mut SqliteConnection,
        size: u64,
    ) -> Result<Frontier, StoreError> {
        let mut entries = self.entries.clone();
        let range = entries.size()..size;
        let added = tables::entries(on, &range).await.map_err(in_audit_log)?;
        for bytes in added {
            let index = entries.size();
            let entry = Entry::parse(&bytes).ok();
            if !entry.is_some_and(|entry| may_be_of_a_command(&entry.fact)) {
                return Err(store.altered(Altered::Foreign { index }));
            }
            entries.push(tree::leaf(&bytes), |_, _| {});
        }
        if entries.size() != size {
            let index = entries.size();
            return Err(store.altered(Altered::Missing { index }));
        }
        Ok(entries)
    }
}

/// Whether commands enter such facts: what they do to keys, tenants, administrators and records.
pub(super) fn may_be_of_a_command(fact: &Fact) -> bool {
    match fact {
        Fact::Admin { .. } => true,
        Fact::Purged(Purged { reason, .. }) => *reason == PurgeReason::Requested,
        _ => false,
    }
}

/// The position of the first hash at the right edge of this tree that the file does not have.
async fn edge_difference(
    on: &mut SqliteConnection,
    tree: &Frontier,
) -> Result<Option<i64>, StoreError> {
    let nodes = tree::subtrees(&(0..tree.size()));
    let positions: Vec<_> = nodes.into_iter().map(position).collect();
    let found = tables::nodes_at(on, &positions).await;
    let found = found.map_err(in_audit_log)?;
    let mut expected = positions.iter().zip(tree.hashes());
    let different = expected.find(|(position, hash)| {
        found.get(position).map(Vec::as_slice) != Some(&hash.as_bytes()[..])
    });
    Ok(different.map(|(position, _)| *position))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::leaf::Leaf;
    use attest_core::UnixTime;
    use attest_core::log::Word;
    use testkit::scratch::ScratchDir;

    fn expired(count: u64) -> Entry {
        Entry {
            at: UnixTime::from_secs(1),
            fact: Fact::Purged(Purged {
                kind: Word::parse("receipts").expect("a word"),
                count,
                reason: PurgeReason::Expired,
            }),
        }
    }

    /// A commit that fails may have taken place. Both outcomes are this process's own.
    #[tokio::test]
    async fn a_commit_with_an_unknown_outcome_is_compared_with_both() {
        for took_place in [true, false] {
            let scratch = ScratchDir::new("known-tree").expect("a directory");
            let store = Store::open(scratch.path()).await.expect("a log");
            let mut connection = store.connect().await.expect("a connection");
            let first = store.stored_tree(&mut connection).await.expect("a tree");
            let version = sqlite::data_version(&mut connection).await;
            let mut known = KnownTree::new(first.clone(), version.expect("a version"));
            let mut attempted = first.clone();
            attempted.push(tree::leaf(&expired(1).to_bytes()), |_, _| {});
            known.set_uncertain(attempted.clone());
            if took_place {
                let leaves = [Leaf::plain(expired(1))];
                let entered = store.commit(&leaves, |_| (None, ())).await;
                entered.expect("entered");
            }
            let compared = known.compare(&store, &mut connection).await;
            compared.expect("its own entries");
            let expected = if took_place { attempted } else { first };
            assert_eq!(*known.entries(), expected);
            // The same entry is another process's if this one did not try to enter it.
            let leaves = [Leaf::plain(expired(1))];
            let entered = store.commit(&leaves, |_| (None, ())).await;
            entered.expect("entered");
            let index = expected.size();
            for _ in 0..2 {
                let refused = known.compare(&store, &mut connection).await.err();
                assert!(
                    matches!(&refused, Some(StoreError::Altered { what, .. }) if *what == Altered::Foreign { index }),
                    "{refused:?}"
                );
            }
        }
    }
}
