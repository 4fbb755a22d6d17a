//! Receipts of a log: how they are found by their digests, whatever the log's size and the version that wrote it.

use super::altered::alter;
use super::support::{begin, open, replayed};
use attest_core::Sha256Digest;
use attest_core::log::{Fact, receipts_root};
use gateway_store::StoreError;
use gateway_store::audit::{AuditLog, EpochLog};
use testkit::scratch::ScratchDir;

fn digest(number: u64) -> Sha256Digest {
    Sha256Digest::hash(&number.to_be_bytes())
}

async fn enter(log: &AuditLog, numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| log.receipt(digest(number)));
    log.flush().await.expect("entered");
}

async fn is_proven(log: &AuditLog, epoch: &EpochLog, number: u64) -> bool {
    let proof = log.receipt_proof(&digest(number), epoch).await;
    let proof = proof.expect("readable");
    proof.is_some_and(|proof| proof.verify_inclusion(&digest(number)).is_ok())
}

/// More receipts than two runs of the index have, entered unevenly.
#[tokio::test]
async fn finds_receipts_in_the_index_and_after_it_and_no_others() {
    let scratch = ScratchDir::new("receipts-index").expect("a directory");
    let log = open(scratch.path()).await;
    let epoch = begin(&log, 1).await;
    let borders = [0, 1, 9_000, 17_000, 17_001, 30_000, 39_000, 39_500];
    for pair in borders.windows(2) {
        enter(&log, pair[0]..pair[1]).await;
    }
    let early = epoch.head();
    enter(&log, 39_500..39_501).await;
    log.close().await;

    let log = open(scratch.path()).await;
    let epoch = begin(&log, 2).await;
    enter(&log, 39_501..39_503).await;
    for number in (0..39_503).step_by(3_000).chain(39_498..39_503) {
        assert!(is_proven(&log, &epoch, number).await, "{number}");
    }
    assert!(!is_proven(&log, &epoch, 39_503).await);
    for (number, is_in_it) in [(0, true), (39_500, false)] {
        let digest = digest(number);
        let proof = log.receipt_proof_under(&digest, early.clone()).await;
        assert_eq!(proof.expect("readable").is_some(), is_in_it, "{number}");
    }
    let some = [50_000, 39_502, 0, 16_384, 50_001, 39_499].map(digest);
    let missing = log.missing_receipts(some.to_vec()).await;
    assert_eq!(missing.expect("readable"), [50_000, 50_001].map(digest));
    log.close().await;
}

/// The tables of the first schema, with the receipts of a log of the current one.
const FIRST_SCHEMA: &str = "CREATE TABLE rows (
        idx       INTEGER NOT NULL,
        position  INTEGER NOT NULL,
        digest    BLOB NOT NULL CHECK (length(digest) = 32),
        PRIMARY KEY (idx, position)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO rows SELECT * FROM receipts;
    DROP VIEW receipts; DROP TABLE batches; DROP TABLE receipt_runs;
    ALTER TABLE rows RENAME TO receipts;
    CREATE INDEX receipts_by_digest ON receipts (digest);
    PRAGMA user_version = 1;";

#[tokio::test]
async fn a_log_of_the_first_schema_keeps_every_receipt_in_its_place() {
    let scratch = ScratchDir::new("receipts-migrated").expect("a directory");
    let log = open(scratch.path()).await;
    begin(&log, 1).await;
    enter(&log, 0..9_000).await;
    enter(&log, 9_000..9_001).await;
    enter(&log, 9_001..18_000).await;
    log.close().await;
    alter(scratch.path(), FIRST_SCHEMA).await;

    let log = open(scratch.path()).await;
    let epoch = begin(&log, 2).await;
    for number in [0, 4_095, 4_096, 8_999, 9_000, 9_001, 17_999] {
        assert!(is_proven(&log, &epoch, number).await, "{number}");
    }
    let (_, entries) = replayed(&log).await;
    let mut found = 0;
    for (index, entry) in (0..).zip(&entries) {
        let batch = log.batch(index).await.expect("readable");
        found += batch.len();
        match &entry.fact {
            Fact::Receipts { root } => assert_eq!(receipts_root(&batch), *root, "{index}"),
            _ => assert!(batch.is_empty(), "{index}"),
        }
    }
    assert_eq!(found, 18_000);
    log.close().await;
}

#[tokio::test]
async fn refuses_a_batch_in_an_unknown_form() {
    let scratch = ScratchDir::new("receipts-form").expect("a directory");
    let log = open(scratch.path()).await;
    let epoch = begin(&log, 1).await;
    enter(&log, 0..3).await;
    let other = "UPDATE batches SET digests = CAST(x'02' || substr(digests, 2) AS BLOB)";
    alter(scratch.path(), other).await;
    let refused = log.receipt_proof(&digest(0), &epoch).await.err();
    assert!(
        matches!(refused, Some(StoreError::Corrupt { .. })),
        "{refused:?}"
    );
    log.close().await;
}
