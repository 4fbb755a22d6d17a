//! Entries as the log publishes them.

use std::time::Duration;

use sqlx::{Connection, Row, SqliteConnection};

use super::support::{AT, begin, beginning, open, purged, replayed};
use attest_core::Sha256Digest;
use attest_core::log::{AdminAction, Commitment, EpochEnd, EpochProof, Fact, tile, verify};
use gateway_store::audit::AuditLog;
use testkit::scratch::ScratchDir;

fn digest(number: u64) -> Sha256Digest {
    Sha256Digest::hash(&number.to_be_bytes())
}

#[tokio::test]
async fn each_epoch_signs_its_heads_and_proves_its_entry_in_the_log() {
    let scratch = ScratchDir::new("audit-epochs").expect("a directory");
    let log = open(scratch.path()).await;
    let first = begin(&log, 1).await;
    log.append(purged(1)).await.expect("entered");
    let second = begin(&log, 2).await;
    log.append(purged(2)).await.expect("entered");
    let last_of_first = first.head();
    assert_eq!(
        last_of_first.claimed().size,
        3,
        "its beginning, and what was entered in its time"
    );
    assert_eq!(second.head().claimed().size, 6);
    for (epoch, number) in [(&first, 1_u64), (&second, 2)] {
        let proof = EpochProof::parse(epoch.document().as_bytes()).expect("a proof");
        let start = beginning(number, &[number as u8; 32]).start;
        assert!(proof.verify_head(&start.key).is_ok());
        let contract = Some((start.config, start.retention));
        assert_eq!(
            proof.verify_epoch(start.keyset, contract, &start.key),
            Ok(&start)
        );
        let other = Some((start.config, digest(1)));
        assert!(proof.verify_epoch(start.keyset, other, &start.key).is_err());
    }
    let (replay, entries) = replayed(&log).await;
    assert_eq!(replay.epochs()[0].ended_at, Some(AT));
    let replaced = |entry: &attest_core::log::Entry| {
        matches!(
            &entry.fact,
            Fact::EpochEnded {
                epoch: 1,
                end: EpochEnd::Replaced,
                ..
            }
        )
    };
    assert!(entries.iter().any(replaced));
    log.close().await;
}

#[tokio::test]
async fn receipts_are_logged_in_batches_with_a_proof_each() {
    let scratch = ScratchDir::new("audit-receipts").expect("a directory");
    let log = open(scratch.path()).await;
    let epoch = begin(&log, 1).await;
    for number in 0..300 {
        log.receipt(digest(number));
    }
    log.flush().await.expect("flushed");
    let key = epoch.head_key();
    for number in 0..300 {
        let proof = log
            .receipt_proof(&digest(number), &epoch)
            .await
            .expect("readable");
        let proof = proof.expect("a proof");
        assert!(proof.verify_head(&key).is_ok());
        assert_eq!(proof.verify_inclusion(&digest(number)), Ok(()));
        assert!(proof.verify_inclusion(&digest(number + 1000)).is_err());
    }
    let absent = log
        .receipt_proof(&digest(1000), &epoch)
        .await
        .expect("readable");
    assert!(absent.is_none());
    let (_, entries) = replayed(&log).await;
    assert_eq!(entries.len(), 3, "one batch for all of them");
    log.close().await;
}

#[tokio::test]
async fn unawaited_entries_are_written_and_counted_together() {
    let scratch = ScratchDir::new("audit-gathered").expect("a directory");
    let log = open(scratch.path()).await;
    let epoch = begin(&log, 1).await;
    for _ in 0..3 {
        log.count_refusal("keyset_changed");
    }
    log.note(purged(7));
    let deadline = Duration::from_secs(30);
    let entered = async {
        while epoch.head().claimed().size < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(deadline, entered)
        .await
        .expect("entered by itself");
    let (_, entries) = replayed(&log).await;
    let counted = entries.iter().find_map(|entry| match &entry.fact {
        Fact::Refused { counts } => Some(counts.values().copied().collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(counted, Some(vec![3]));
    log.close().await;
}

#[tokio::test]
async fn entries_of_another_process_are_covered_by_the_next_signed_head() {
    let scratch = ScratchDir::new("audit-beside").expect("a directory");
    let log = open(scratch.path()).await;
    let epoch = begin(&log, 1).await;
    let beside = AuditLog::open_beside(scratch.path())
        .await
        .expect("the same log");
    assert_eq!(beside.origin(), log.origin());
    let entered = tokio::join!(
        beside.append_admin_action(AT, AdminAction::KeyCreated, "key 1 of tenant acme"),
        log.append(purged(1)),
    );
    let indices = [
        entered.0.expect("entered").index,
        entered.1.expect("entered").index,
    ];
    assert_ne!(indices[0], indices[1]);
    let size = indices.iter().max().expect("two") + 1;
    let signed = async {
        while epoch.head().claimed().size < size {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), signed)
        .await
        .expect("signed over");
    beside.close().await;
    log.close().await;
}

#[tokio::test]
async fn names_are_commitments_with_openings_stored_beside_the_log() {
    let scratch = ScratchDir::new("audit-names").expect("a directory");
    let log = open(scratch.path()).await;
    begin(&log, 1).await;
    let subject = "key 3f9a of tenant acme";
    let done = log
        .append_admin_action(AT, AdminAction::KeyCreated, subject)
        .await
        .expect("entered");
    let (_, entries) = replayed(&log).await;
    let entry = &entries[done.index as usize];
    assert!(!String::from_utf8_lossy(&entry.to_bytes()).contains("acme"));
    let url = format!("sqlite://{}", log.path().display());
    let mut reader = SqliteConnection::connect(&url).await.expect("the database");
    let row = sqlx::query("SELECT salt, subject FROM openings WHERE idx = ?")
        .bind(done.index as i64)
        .fetch_one(&mut reader)
        .await
        .expect("an opening");
    let salt: Vec<u8> = row.get(0);
    assert_eq!(row.get::<String, _>(1), subject);
    let expected = Commitment::to(subject, &salt.try_into().expect("32 bytes"));
    assert_eq!(
        entry.fact,
        Fact::Admin {
            action: AdminAction::KeyCreated,
            subject: expected
        }
    );
    log.close().await;
}

#[tokio::test]
async fn tiles_and_bundles_of_every_width_are_those_of_the_entries_and_heads_are_consistent() {
    let scratch = ScratchDir::new("audit-tiles").expect("a directory");
    let log = open(scratch.path()).await;
    let epoch = begin(&log, 1).await;
    let early = epoch.head();
    for count in 0..600 {
        log.note(purged(count));
    }
    log.flush().await.expect("flushed");
    let head = epoch.head();
    let size = head.claimed().size;
    assert_eq!(size, 602);
    let entries = log.entries(0..size).await.expect("entries");
    let mut frontier = attest_core::log::Frontier::default();
    let mut tiler = tile::Tiler::default();
    let mut expected = Vec::new();
    for entry in &entries {
        frontier.push(attest_core::log::tree::leaf(entry), |node, hash| {
            expected.extend(tiler.push(node, &hash));
        });
    }
    expected.extend(tiler.partial().map(|(tile, bytes)| (tile, bytes.to_vec())));
    assert_eq!(expected.len(), tile::hash_tiles(size).count());
    for (tile, bytes) in expected {
        let found = log.tile(&tile, size).await.expect("readable");
        assert_eq!(found, Some(bytes), "{}", tile.path());
    }
    let bundle = tile::bundles(size).last().expect("a bundle");
    let bytes = log
        .tile(&bundle, size)
        .await
        .expect("readable")
        .expect("there");
    let of_bundle = bundle.entries(&bytes).expect("a bundle");
    assert_eq!(
        of_bundle,
        entries[512..].iter().map(Vec::as_slice).collect::<Vec<_>>()
    );
    let beyond = tile::Tile {
        width: 91,
        ..bundle
    };
    assert_eq!(log.tile(&beyond, size).await.expect("readable"), None);

    let (old, new) = (early.claimed(), head.claimed());
    let proof = log
        .consistency(old.size, new.size)
        .await
        .expect("readable")
        .expect("a proof");
    let holds = verify::consistency((old.size, &old.root), (new.size, &new.root), &proof);
    assert_eq!(holds, Ok(()));
    log.close().await;
}
