//! Verification of the whole log before anything is added to it.
//!
//! The host controls the disk. This check detects entries that were changed, removed, inserted or moved, changed hashes,
//! and a head that includes missing entries. It does not detect a complete copy of the log from an earlier day, which was
//! valid once. A client or auditor that stored a later head detects that.
//!
//! A log is read in chunks, each as one row, to save a switch to the database's thread for each entry and hash. A chunk
//! that does not match is read again row by row, to report the position.

use attest_core::log::{Node, Replay, SignedHead, TreeHash};

use super::store::{Store, position};
use super::{in_audit_log, tables};
use crate::error::{Altered, StoreError};

/// Entries read at a time.
const CHUNK: i64 = 4096;

pub(super) async fn check(store: &Store) -> Result<(), StoreError> {
    let head = store.head().await?;
    let mut replay = Replay::default();
    let mut head_seen = head.is_none();
    loop {
        let entries = read_entries(store, replay.size()).await?;
        if entries.is_empty() {
            break;
        }
        let mut hashes = Vec::with_capacity(2 * entries.len());
        for entry in &entries {
            replay
                .push_reporting(entry, |node, hash| hashes.push((node, hash)))
                .map_err(|error| store.altered(error.into()))?;
            if let Some(head) = head
                .as_ref()
                .filter(|head| head.claimed().size == replay.size())
            {
                check_head(&replay, head).map_err(|what| store.altered(what))?;
                head_seen = true;
            }
        }
        check_hashes(store, &hashes).await?;
    }
    if !head_seen {
        return Err(store.altered(Altered::Missing {
            index: replay.size(),
        }));
    }
    Ok(())
}

fn check_head(replay: &Replay, head: &SignedHead) -> Result<(), Altered> {
    replay.check_content(head.claimed())?;
    replay.check_signer(head)?;
    Ok(())
}

/// The next entries from `from` on, without a gap; none at the end.
async fn read_entries(store: &Store, from: u64) -> Result<Vec<Vec<u8>>, StoreError> {
    let joined = tables::joined_entries(store.readers(), from, CHUNK).await;
    let Some(joined) = joined.map_err(in_audit_log)? else {
        return Ok(Vec::new());
    };
    // Canonical JSON has no line breaks.
    let entries: Vec<Vec<u8>> = joined
        .entries
        .split(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let whole = entries.len() as i64 == joined.count;
    if whole && joined.last == from as i64 + joined.count - 1 {
        return Ok(entries);
    }
    read_each_entry(store, from).await
}

/// Like [`read_entries`], row by row, for a chunk with a gap or an invalid entry.
async fn read_each_entry(store: &Store, from: u64) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows = tables::indexed_entries(store.readers(), from, CHUNK).await;
    let mut entries = Vec::new();
    for (index, (found, entry)) in (from..).zip(rows.map_err(in_audit_log)?) {
        if found != index as i64 {
            return Err(store.altered(Altered::Missing { index }));
        }
        entries.push(entry);
    }
    Ok(entries)
}

async fn check_hashes(store: &Store, hashes: &[(Node, TreeHash)]) -> Result<(), StoreError> {
    let (Some((first, _)), Some((last, _))) = (hashes.first(), hashes.last()) else {
        return Ok(());
    };
    let joined = tables::joined_nodes(store.readers(), position(*first), position(*last)).await;
    let joined = joined.map_err(in_audit_log)?;
    let expected: Vec<u8> = hashes
        .iter()
        .flat_map(|(_, hash)| *hash.as_bytes())
        .collect();
    let whole = joined.count == hashes.len() as i64
        && joined.lengths == (Some(32), Some(32))
        && joined.hashes.as_deref() == Some(&expected[..]);
    if whole {
        return Ok(());
    }
    check_each_hash(store, hashes).await
}

/// Like [`check_hashes`], row by row, to report the position of a wrong hash.
async fn check_each_hash(store: &Store, hashes: &[(Node, TreeHash)]) -> Result<(), StoreError> {
    let Some((first, _)) = hashes.first() else {
        return Ok(());
    };
    let rows = tables::nodes(store.readers(), position(*first), hashes.len() as i64).await;
    let mut rows = rows.map_err(in_audit_log)?.into_iter();
    for (node, hash) in hashes {
        let position = position(*node);
        if rows.next() != Some((Some(position), Some(hash.as_bytes().to_vec()))) {
            return Err(store.altered(Altered::Hash { position }));
        }
    }
    Ok(())
}
