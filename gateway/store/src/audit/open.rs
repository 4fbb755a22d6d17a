//! Verification of the whole log before anything is added to it.
//!
//! The host controls the disk. This check detects entries that were changed, removed, inserted or moved, changed hashes,
//! and a head that includes missing entries. It does not detect a complete copy of the log from an earlier day, which was
//! valid once. A client or auditor that stored a later head detects that.
//!
//! A log is read in chunks, each as one row, to save a switch to the database's thread for each entry and hash. A chunk
//! that does not match is read again row by row, to report the position.

use attest_core::log::{Node, Replay, SignedHead, TreeHash};
use sqlx::Row;

use super::store::{Store, position};
use super::{Altered, AuditError};

/// Entries read at a time.
const CHUNK: i64 = 4096;

pub(super) async fn check(store: &Store) -> Result<(), AuditError> {
    let head = stored_head(store).await?;
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
                .push_telling(entry, |node, hash| hashes.push((node, hash)))
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
async fn read_entries(store: &Store, from: u64) -> Result<Vec<Vec<u8>>, AuditError> {
    // Canonical JSON has no line breaks.
    let row = sqlx::query(
        "SELECT count(*), max(idx), CAST(group_concat(CAST(entry AS TEXT), char(10) ORDER BY idx) AS BLOB) \
         FROM (SELECT idx, entry FROM entries WHERE idx >= ? ORDER BY idx LIMIT ?)",
    )
    .bind(from as i64)
    .bind(CHUNK)
    .fetch_one(store.readers())
    .await?;
    let count: i64 = row.try_get(0)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let together: &[u8] = row.try_get(2)?;
    let entries: Vec<Vec<u8>> = together
        .split(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let last: i64 = row.try_get(1)?;
    if entries.len() as i64 == count && last == from as i64 + count - 1 {
        return Ok(entries);
    }
    read_each_entry(store, from).await
}

/// Like [`read_entries`], row by row, for a chunk with a gap or an invalid entry.
async fn read_each_entry(store: &Store, from: u64) -> Result<Vec<Vec<u8>>, AuditError> {
    let rows = sqlx::query("SELECT idx, entry FROM entries WHERE idx >= ? ORDER BY idx LIMIT ?")
        .bind(from as i64)
        .bind(CHUNK)
        .fetch_all(store.readers())
        .await?;
    let mut entries = Vec::with_capacity(rows.len());
    for (index, row) in (from..).zip(&rows) {
        if row.try_get::<i64, _>(0)? != index as i64 {
            return Err(store.altered(Altered::Missing { index }));
        }
        entries.push(row.try_get(1)?);
    }
    Ok(entries)
}

async fn check_hashes(store: &Store, hashes: &[(Node, TreeHash)]) -> Result<(), AuditError> {
    let (Some((first, _)), Some((last, _))) = (hashes.first(), hashes.last()) else {
        return Ok(());
    };
    let row = sqlx::query(
        "SELECT count(*), min(length(hash)), max(length(hash)), \
         CAST(group_concat(hash, '' ORDER BY position) AS BLOB) FROM nodes WHERE position BETWEEN ? AND ?",
    )
    .bind(position(*first))
    .bind(position(*last))
    .fetch_one(store.readers())
    .await?;
    let expected: Vec<u8> = hashes
        .iter()
        .flat_map(|(_, hash)| *hash.as_bytes())
        .collect();
    let whole = row.try_get::<i64, _>(0)? == hashes.len() as i64
        && row.try_get::<Option<i64>, _>(1)? == Some(32)
        && row.try_get::<Option<i64>, _>(2)? == Some(32)
        && row.try_get::<Option<&[u8]>, _>(3)? == Some(&expected[..]);
    if whole {
        return Ok(());
    }
    check_each_hash(store, hashes).await
}

/// Like [`check_hashes`], row by row, to report the position of a wrong hash.
async fn check_each_hash(store: &Store, hashes: &[(Node, TreeHash)]) -> Result<(), AuditError> {
    let Some((first, _)) = hashes.first() else {
        return Ok(());
    };
    let rows = sqlx::query(
        "SELECT position, hash FROM nodes WHERE position >= ? ORDER BY position LIMIT ?",
    )
    .bind(position(*first))
    .bind(hashes.len() as i64)
    .fetch_all(store.readers())
    .await?;
    let mut rows = rows.iter();
    for (node, hash) in hashes {
        let position = position(*node);
        let found = rows.next();
        let same = found.is_some_and(|row| {
            row.try_get::<i64, _>(0).ok() == Some(position)
                && row.try_get::<&[u8], _>(1).ok() == Some(&hash.as_bytes()[..])
        });
        if !same {
            return Err(store.altered(Altered::Hash { position }));
        }
    }
    Ok(())
}

async fn stored_head(store: &Store) -> Result<Option<SignedHead>, AuditError> {
    let note: Option<String> = sqlx::query_scalar("SELECT note FROM head WHERE id = 1")
        .fetch_optional(store.readers())
        .await?;
    let head = note.map(|note| SignedHead::parse(note.as_bytes()));
    head.transpose().map_err(|_| store.altered(Altered::Head))
}
