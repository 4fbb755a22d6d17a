//! Verification of the whole log before anything is added to it.
//!
//! The host controls the disk. This check detects entries that were changed, removed, inserted or moved, changed hashes,
//! and a head that includes missing entries. It does not detect a complete copy of the log from an earlier day, which was
//! valid once. A client or auditor that stored a later head detects that.
//!
//! A log is read in chunks, each as one row, to save a switch to the database's thread for each entry and hash. A chunk
//! that does not match is read again row by row, to report the position.

use attest_core::log::{Frontier, Node, Replay, ReplayError, SignedHead, TreeHash};

use super::store::{Store, position};
use super::unsigned_tail::UnsignedTail;
use super::{in_audit_log, tables};
use crate::error::{Altered, StoreError};

/// Entries read at a time.
const CHUNK: i64 = 4096;

/// A log that is what its hashes and its last head say.
pub(super) struct CheckedLog {
    /// The tree of all entries.
    pub tree: Frontier,
    /// The tree that the last head includes; without a head, that of the first entry.
    pub signed: Frontier,
    pub tail: UnsignedTail,
}

/// Reads the whole log. `known` are entries that it must begin with.
pub(super) async fn check(
    store: &Store,
    known: Option<&Frontier>,
) -> Result<CheckedLog, StoreError> {
    let head = store.head().await?;
    let signed_size = head.as_ref().map_or(1, |head| head.claimed().size);
    let mut replay = Replay::default();
    let (mut signed, mut known_seen) = (None, known.is_none());
    let mut tail = UnsignedTail::default();
    loop {
        let entries = read_entries(store, replay.size()).await?;
        if entries.is_empty() {
            break;
        }
        let mut hashes = Vec::with_capacity(2 * entries.len());
        for bytes in &entries {
            let entry = replay
                .push_reporting(bytes, |node, hash| hashes.push((node, hash)))
                .map_err(|error| store.altered(error.into()))?;
            if signed.is_some() {
                tail.push(replay.size() - 1, entry);
            }
            if replay.size() == signed_size {
                let checked = head
                    .as_ref()
                    .map_or(Ok(()), |head| check_head(&replay, head));
                checked.map_err(|what| store.altered(what))?;
                signed = Some(replay.tree().clone());
            }
            if let Some(known) = known.filter(|known| known.size() == replay.size()) {
                check_known(&replay, known).map_err(|what| store.altered(what))?;
                known_seen = true;
            }
        }
        check_hashes(store, &hashes).await?;
    }
    match signed {
        Some(signed) if known_seen => Ok(CheckedLog {
            tree: replay.tree().clone(),
            signed,
            tail,
        }),
        _ => Err(store.altered(Altered::Missing {
            index: replay.size(),
        })),
    }
}

fn check_known(replay: &Replay, known: &Frontier) -> Result<(), Altered> {
    if replay.tree() == known {
        return Ok(());
    }
    Err(Altered::Replay(ReplayError::Root {
        size: known.size(),
        found: replay.root(),
        claimed: known.root(),
    }))
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
