//! A file that another process changes while a service runs: no head includes the change, and its cause is reported.

use std::time::Duration;

use super::altered::alter;
use super::support::{AT, begin, open, purged, replayed, word};
use attest_core::log::{
    AdminAction, Entry, Fact, Frontier, PurgeReason, Purged, ReplayError, receipts_root, tree,
};
use attest_core::{Sha256Digest, to_hex};
use gateway_store::audit::{AuditLog, EpochLog};
use gateway_store::{Altered, StoreError};
use testkit::scratch::ScratchDir;

/// The statements that append an entry with the right hashes, as a program that knows the format does.
async fn appended(log: &AuditLog, entry: &Entry) -> String {
    let size = log.size().await.expect("a size");
    let mut frontier = Frontier::default();
    for bytes in log.entries(0..size).await.expect("entries") {
        frontier.push(tree::leaf(&bytes), |_, _| {});
    }
    let bytes = entry.to_bytes();
    let entry = to_hex(&bytes);
    let mut statements = format!("INSERT INTO entries VALUES ({size}, x'{entry}');");
    frontier.push(tree::leaf(&bytes), |node, hash| {
        let position = node.completion();
        statements += &format!("INSERT INTO nodes VALUES ({position}, x'{hash}');");
    });
    statements
}

fn forged_batch(receipt: Sha256Digest) -> Entry {
    let root = receipts_root(&[receipt]);
    Entry {
        at: AT,
        fact: Fact::Receipts { root },
    }
}

/// Appends until it is refused. Every head until then, and the cause.
async fn refused(log: &AuditLog) -> Altered {
    for count in 1_000.. {
        match log.append(purged(count)).await {
            Ok(_) if count < 2_000 => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(StoreError::Altered { what, .. }) => return what,
            other => panic!("{other:?}"),
        }
    }
    unreachable!()
}

async fn made(name: &str) -> (ScratchDir, AuditLog, std::sync::Arc<EpochLog>) {
    let scratch = ScratchDir::new(name).expect("a directory");
    let log = open(scratch.path()).await;
    let epoch = begin(&log, 1).await;
    for count in 1..=5 {
        log.append(purged(count)).await.expect("entered");
    }
    (scratch, log, epoch)
}

#[tokio::test]
async fn a_batch_that_another_process_enters_is_in_no_head() {
    let (scratch, log, epoch) = made("tampered-batch").await;
    let head = epoch.head();
    let receipt = Sha256Digest::hash(b"forged");
    let index = head.claimed().size;
    let batch = appended(&log, &forged_batch(receipt)).await;
    let digest = to_hex(receipt.as_bytes());
    let statements = format!("{batch} INSERT INTO batches VALUES ({index}, x'01{digest}')");
    alter(scratch.path(), &statements).await;
    // Without any call the writer notices it, and signs nothing.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(epoch.head(), head);
    assert_eq!(refused(&log).await, Altered::Foreign { index });
    let other = begin_refused(&log).await;
    assert_eq!(other, Altered::Foreign { index });
    assert_eq!(epoch.head(), head);
    let proof = log.receipt_proof(&receipt, &epoch).await;
    assert!(proof.expect("readable").is_none());
    log.close().await;

    // The next start removes it: no head includes it.
    let log = open(scratch.path()).await;
    let epoch = begin(&log, 2).await;
    let (_, entries) = replayed(&log).await;
    assert!(!entries.contains(&forged_batch(receipt)));
    assert_eq!(lost(&entries), [("entries".to_owned(), 1)]);
    let proof = log.receipt_proof(&receipt, &epoch).await;
    assert!(proof.expect("readable").is_none());
    log.close().await;
}

async fn begin_refused(log: &AuditLog) -> Altered {
    match log
        .begin_epoch(super::support::beginning(9, &[9; 32]))
        .await
    {
        Err(StoreError::Altered { what, .. }) => what,
        other => panic!("{:?}", other.err()),
    }
}

fn lost(entries: &[Entry]) -> Vec<(String, u64)> {
    let counts = entries.iter().filter_map(|entry| match &entry.fact {
        Fact::RowsLost { kind, count } => Some((kind.as_str().to_owned(), *count)),
        _ => None,
    });
    counts.collect()
}

#[tokio::test]
async fn an_entry_that_another_process_edits_is_in_no_head() {
    let (scratch, log, epoch) = made("tampered-entry").await;
    let entry = String::from_utf8(purged(1_000_000).to_bytes()).expect("text");
    let edit = format!("UPDATE entries SET entry = CAST('{entry}' AS BLOB) WHERE idx = 4");
    let mut entries = log.entries(0..7).await.expect("entries");
    alter(scratch.path(), &edit).await;
    let what = refused(&log).await;
    assert!(
        matches!(what, Altered::Replay(ReplayError::Root { .. })),
        "{what:?}"
    );
    // The last head is over the original: what was entered meanwhile was added to the tree in memory.
    let head = epoch.head();
    entries.extend(log.entries(7..head.claimed().size).await.expect("entries"));
    let leaves: Vec<_> = entries.iter().map(|bytes| tree::leaf(bytes)).collect();
    assert_eq!(head.claimed().root, tree::root(&leaves));
    log.close().await;
}

#[tokio::test]
async fn a_log_that_another_process_shortens_gets_no_further_head() {
    for (statements, expected) in [
        (
            "DELETE FROM entries WHERE idx >= 5",
            Altered::Missing { index: 5 },
        ),
        (
            "DELETE FROM entries WHERE idx >= 5; DELETE FROM nodes WHERE position >= 8",
            Altered::Missing { index: 5 },
        ),
        (
            "DELETE FROM nodes WHERE position = 10",
            Altered::Hash { position: 10 },
        ),
    ] {
        let (scratch, log, epoch) = made("tampered-shorter").await;
        let head = epoch.head();
        assert_eq!(head.claimed().size, 7);
        alter(scratch.path(), statements).await;
        assert_eq!(refused(&log).await, expected, "{statements}");
        assert_eq!(epoch.head(), head, "{statements}");
        log.close().await;
    }
}

#[tokio::test]
async fn a_commands_entry_with_other_hashes_is_in_no_head() {
    let (scratch, log, epoch) = made("tampered-hash").await;
    let head = epoch.head();
    let of_a_command = Entry {
        at: AT,
        fact: Fact::Purged(Purged {
            kind: word("records"),
            count: 1,
            reason: PurgeReason::Requested,
        }),
    };
    let statements = appended(&log, &of_a_command).await;
    let other = format!("{statements} UPDATE nodes SET hash = zeroblob(32) WHERE position > 10");
    alter(scratch.path(), &other).await;
    assert!(matches!(refused(&log).await, Altered::Hash { .. }));
    assert_eq!(epoch.head(), head);
    log.close().await;
}

/// What commands enter stays, while a service runs and while none does.
#[tokio::test]
async fn entries_of_commands_stay_and_others_without_a_head_are_removed_at_the_start() {
    let (scratch, log, epoch) = made("tampered-tail").await;
    log.close().await;
    let size = epoch.head().claimed().size;
    let beside = AuditLog::open_beside(scratch.path()).await.expect("a log");
    beside.append(purged(77)).await.expect("entered");
    let subject = "key 1 of tenant acme";
    let kept = beside
        .append_admin_action(AT, AdminAction::KeyCreated, subject)
        .await;
    assert_eq!(kept.expect("entered").index, size + 1);
    beside.receipt(Sha256Digest::hash(b"unsigned"));
    beside.close().await;

    for _ in 0..2 {
        let log = open(scratch.path()).await;
        let now = log.size().await.expect("a size");
        assert_eq!(
            now,
            size + 2,
            "the action, and the number of removed entries"
        );
        let subjects = log.subjects(0..now).await.expect("readable");
        assert_eq!(
            subjects.into_iter().collect::<Vec<_>>(),
            [(size, subject.to_owned())]
        );
        let missing = log
            .missing_receipts(vec![Sha256Digest::hash(b"unsigned")])
            .await;
        assert_eq!(missing.expect("readable").len(), 1);
        log.close().await;
    }
    let log = open(scratch.path()).await;
    begin(&log, 2).await;
    let (_, entries) = replayed(&log).await;
    assert_eq!(lost(&entries), [("entries".to_owned(), 2)]);
    log.close().await;
}

#[tokio::test]
async fn refuses_to_start_where_an_epoch_began_without_a_head() {
    let (scratch, log, _) = made("tampered-epoch").await;
    log.close().await;
    alter(scratch.path(), "DELETE FROM head").await;
    let refused = AuditLog::open(scratch.path()).await.err();
    assert!(
        matches!(
            refused,
            Some(StoreError::Altered {
                what: Altered::Unsigned { index: 1 },
                ..
            })
        ),
        "{refused:?}"
    );
}
