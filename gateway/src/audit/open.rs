//! Reading the whole log before anything is added to it.
//!
//! The disk is the host's. What is found here is what the log itself shows: entries changed, cut out,
//! put in or moved, hashes changed, a head that counts entries which are gone. A log that was put
//! back whole to an earlier day is not found here: it was once right. Whoever kept a later head finds it.

use attest_core::log::{Node, Replay, SignedHead, TreeHash};
use sqlx::Row;

use super::store::{Store, position};
use super::{Altered, AuditError};

/// Entries read at a time.
const CHUNK: i64 = 1024;

pub(super) async fn check(store: &Store) -> Result<(), AuditError> {
    let head = stored_head(store).await?;
    let mut replay = Replay::default();
    let mut head_seen = head.is_none();
    loop {
        let from = replay.size() as i64;
        let rows =
            sqlx::query("SELECT idx, entry FROM entries WHERE idx >= ? ORDER BY idx LIMIT ?")
                .bind(from)
                .bind(CHUNK)
                .fetch_all(store.readers())
                .await?;
        if rows.is_empty() {
            break;
        }
        let mut hashes = Vec::new();
        for row in &rows {
            let index = replay.size();
            if row.try_get::<i64, _>(0)? != index as i64 {
                return Err(store.altered(Altered::Missing { index }));
            }
            let bytes: &[u8] = row.try_get(1)?;
            replay
                .push_telling(bytes, |node, hash| hashes.push((node, hash)))
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

async fn check_hashes(store: &Store, hashes: &[(Node, TreeHash)]) -> Result<(), AuditError> {
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
