//! Receipts that are missing in the log after a crash.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::support::{AT, begin};
use attest_core::Sha256Digest;
use gateway_store::ledger::{Ledger, ReceiptRow};
use testkit::scratch::ScratchDir;

async fn ledger(directory: &Path) -> Ledger {
    let keep = Duration::from_secs(86_400);
    Ledger::open(directory, keep).await.expect("a ledger")
}

fn digest(name: &str) -> Sha256Digest {
    Sha256Digest::hash(name.as_bytes())
}

async fn store(ledger: &Ledger, name: &'static str) {
    let row = ReceiptRow {
        receipt_id: name.to_owned(),
        chat_id: None,
        key_digest: [1; 32],
        json: Bytes::from_static(name.as_bytes()),
        served_at: AT,
    };
    ledger
        .receipts()
        .store(&row, ledger.clock().now().plus(Duration::from_secs(86_400)));
    ledger.flush().await;
}

/// The whole log as it lies on the disk.
fn put(from: &Path, to: &Path) {
    for file in ["audit.sqlite", "audit.sqlite-wal", "audit.sqlite-shm"] {
        let _ = std::fs::remove_file(to.join(file));
        if from.join(file).exists() {
            std::fs::copy(from.join(file), to.join(file)).expect("copied");
        }
    }
}

#[tokio::test]
async fn receipts_missing_after_a_kill_are_logged_once_at_the_next_start() {
    let scratch = ScratchDir::new("audit-unlogged").expect("a directory");
    let aside = ScratchDir::new("audit-unlogged-aside").expect("a directory");
    let first = ledger(scratch.path()).await;
    store(&first, "logged").await;
    first.close().await;
    put(scratch.path(), aside.path());

    // Receipts in the ledger and not in the log: what a kill between the two commits leaves on the disk.
    let second = ledger(scratch.path()).await;
    store(&second, "stored").await;
    store(&second, "stored too").await;
    second.close().await;
    put(aside.path(), scratch.path());

    let third = ledger(scratch.path()).await;
    let epoch = begin(third.audit(), 1).await;
    third.audit().flush().await.expect("entered");
    for name in ["logged", "stored", "stored too"] {
        let proof = third.audit().receipt_proof(&digest(name), &epoch).await;
        assert!(
            proof.expect("readable").is_some(),
            "{name} is not in the log"
        );
    }
    let (known, unknown) = (digest("logged"), digest("never stored"));
    let missing = third.audit().missing_receipts(vec![known, unknown]).await;
    assert_eq!(missing.expect("readable"), [unknown]);
    let size = third.audit().size().await.expect("a size");
    third.close().await;

    let fourth = ledger(scratch.path()).await;
    fourth.audit().flush().await.expect("entered");
    assert_eq!(
        fourth.audit().size().await.expect("a size"),
        size,
        "nothing is entered twice"
    );
    fourth.close().await;
}
