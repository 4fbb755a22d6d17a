//! A database that another process changed: each change is detected at the next start, with its reason.

use std::path::Path;

use sqlx::{Connection, SqliteConnection};

use super::support::{begin, open, purged, replayed};
use attest_core::log::{ReplayError, tree};
use gateway_store::audit::AuditLog;
use gateway_store::{Altered, StoreError};
use testkit::scratch::ScratchDir;

/// A log of 21 entries: its beginning, an epoch's, 17 more, and two of the next run.
async fn made(name: &str) -> ScratchDir {
    let scratch = ScratchDir::new(name).expect("a directory");
    let log = open(scratch.path()).await;
    begin(&log, 1).await;
    for count in 1..=17 {
        log.append(purged(count)).await.expect("entered");
    }
    log.close().await;
    let log = open(scratch.path()).await;
    begin(&log, 2).await;
    log.append(purged(18)).await.expect("entered");
    log.close().await;
    scratch
}

pub(super) async fn alter(directory: &Path, statements: &str) {
    let url = format!("sqlite://{}", directory.join("audit.sqlite").display());
    let mut connection = SqliteConnection::connect(&url).await.expect("the database");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned()))
        .execute(&mut connection)
        .await
        .expect("altered");
    connection.close().await.expect("closed");
}

async fn found(directory: &Path) -> Altered {
    match AuditLog::open(directory).await {
        Err(StoreError::Altered { what, .. }) => what,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("nothing was noticed"),
    }
}

#[tokio::test]
async fn an_untouched_log_is_opened_and_holds_everything() {
    let scratch = made("audit-untouched").await;
    let log = open(scratch.path()).await;
    let (replay, _) = replayed(&log).await;
    assert_eq!(replay.size(), 21);
    assert_eq!(replay.epochs().len(), 2);
    assert_eq!(replay.epochs()[0].ended_at, None, "it was cut off");
    log.close().await;
}

#[tokio::test]
async fn detects_an_edited_entry() {
    let scratch = made("audit-edited").await;
    let entry = String::from_utf8(purged(1000).to_bytes()).expect("text");
    alter(
        scratch.path(),
        &format!("UPDATE entries SET entry = CAST('{entry}' AS BLOB) WHERE idx = 5"),
    )
    .await;
    assert!(matches!(
        found(scratch.path()).await,
        Altered::Replay(ReplayError::Root { size: 21, .. })
    ));
}

#[tokio::test]
async fn detects_an_edited_entry_with_recomputed_hashes_by_the_signed_head() {
    let scratch = made("audit-mended").await;
    let log = open(scratch.path()).await;
    let mut leaves = log.entries(0..21).await.expect("entries");
    log.close().await;
    leaves[5] = purged(1000).to_bytes();
    let entry = String::from_utf8(leaves[5].clone()).expect("text");
    let mut statements =
        format!("UPDATE entries SET entry = CAST('{entry}' AS BLOB) WHERE idx = 5;");
    let mut frontier = tree::Frontier::default();
    for leaf in &leaves {
        frontier.push(tree::leaf(leaf), |node, hash| {
            let position = node.completion();
            statements +=
                &format!("UPDATE nodes SET hash = x'{hash}' WHERE position = {position};");
        });
    }
    alter(scratch.path(), &statements).await;
    assert!(matches!(
        found(scratch.path()).await,
        Altered::Replay(ReplayError::Root { size: 21, .. })
    ));
}

#[tokio::test]
async fn detects_two_swapped_entries() {
    let scratch = made("audit-reordered").await;
    alter(
        scratch.path(),
        "UPDATE entries SET idx = -1 WHERE idx = 5; UPDATE entries SET idx = 5 WHERE idx = 6; \
         UPDATE entries SET idx = 6 WHERE idx = -1",
    )
    .await;
    assert!(matches!(
        found(scratch.path()).await,
        Altered::Replay(ReplayError::Root { size: 21, .. })
    ));
}

#[tokio::test]
async fn detects_a_changed_hash() {
    let scratch = made("audit-hash").await;
    alter(
        scratch.path(),
        "UPDATE nodes SET hash = zeroblob(32) WHERE position = 3",
    )
    .await;
    assert_eq!(found(scratch.path()).await, Altered::Hash { position: 3 });
}

/// Chunks are read in one piece: what only moves the borders in it is noticed all the same.
#[tokio::test]
async fn detects_hashes_and_entries_with_moved_boundaries() {
    let move_borders = "UPDATE nodes SET hash = CAST(substr((SELECT hash FROM nodes WHERE position = 3), 32, 1) || hash AS BLOB) \
         WHERE position = 4; \
         UPDATE nodes SET hash = substr(hash, 1, 31) WHERE position = 3";
    let scratch = made("audit-borders").await;
    let unchecked = "CREATE TABLE other (position INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT; \
         INSERT INTO other SELECT * FROM nodes; DROP TABLE nodes; ALTER TABLE other RENAME TO nodes;";
    alter(scratch.path(), &format!("{unchecked} {move_borders}")).await;
    assert_eq!(found(scratch.path()).await, Altered::Hash { position: 3 });

    // Against the table's own constraint they are damage, before any hash is compared.
    let scratch = made("audit-constraint").await;
    let ignoring = format!("PRAGMA ignore_check_constraints = ON; {move_borders}");
    alter(scratch.path(), &ignoring).await;
    let refused = AuditLog::open(scratch.path()).await.err();
    assert!(
        matches!(&refused, Some(StoreError::Damaged { what, .. }) if what.contains("nodes")),
        "{refused:?}"
    );

    let scratch = made("audit-joined").await;
    alter(
        scratch.path(),
        "UPDATE entries SET entry = CAST(CAST(entry AS TEXT) || char(10) || \
         (SELECT CAST(entry AS TEXT) FROM entries WHERE idx = 6) AS BLOB) WHERE idx = 5; \
         DELETE FROM entries WHERE idx = 6",
    )
    .await;
    assert!(matches!(
        found(scratch.path()).await,
        Altered::Missing { index: 6 } | Altered::Replay(ReplayError::Entry { index: 5, .. })
    ));
}

#[tokio::test]
async fn detects_removed_and_truncated_entries() {
    let scratch = made("audit-cut").await;
    alter(scratch.path(), "DELETE FROM entries WHERE idx >= 18").await;
    assert_eq!(found(scratch.path()).await, Altered::Missing { index: 18 });
    alter(scratch.path(), "DELETE FROM entries WHERE idx = 3").await;
    assert_eq!(found(scratch.path()).await, Altered::Missing { index: 3 });
    alter(scratch.path(), "DELETE FROM entries WHERE idx = 0").await;
    assert_eq!(found(scratch.path()).await, Altered::Beginning);
}

#[tokio::test]
async fn detects_a_head_signed_by_no_epoch_of_the_log() {
    let (scratch, other) = (made("audit-head").await, made("audit-other").await);
    let log = open(other.path()).await;
    let head = log.latest_head().await.expect("readable").expect("a head");
    log.close().await;
    let note = head.note().replace('\'', "''");
    alter(scratch.path(), &format!("UPDATE head SET note = '{note}'")).await;
    assert!(matches!(
        found(scratch.path()).await,
        Altered::Replay(ReplayError::Root { .. })
    ));
}

/// What is not found here, and why heads are kept: the whole file of an earlier day.
#[tokio::test]
async fn a_restored_backup_opens_and_is_detected_only_by_a_later_head() {
    let scratch = made("audit-rolled-back").await;
    let file = scratch.path().join("audit.sqlite");
    let earlier = std::fs::read(&file).expect("the file");
    let log = open(scratch.path()).await;
    let kept = begin(&log, 3).await.head();
    log.close().await;
    std::fs::write(&file, earlier).expect("put back");
    for gone in ["audit.sqlite-wal", "audit.sqlite-shm"] {
        let _ = std::fs::remove_file(scratch.path().join(gone));
    }
    let log = open(scratch.path()).await;
    let now = begin(&log, 4).await.head();
    let (kept, now) = (kept.claimed(), now.claimed());
    assert_eq!(kept.size, now.size);
    assert_ne!(
        kept.root, now.root,
        "two heads of one size, and both are signed"
    );
    log.close().await;
}
