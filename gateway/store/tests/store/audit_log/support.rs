//! Epochs and entries to write.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use attest_core::log::{Entry, EpochReason, EpochStart, Fact, PurgeReason, Purged, Replay, Word};
use attest_core::{Sha256Digest, SigningKey, UnixTime};
use gateway_store::audit::{AuditLog, EpochLog, NewEpoch};

pub const AT: UnixTime = UnixTime::from_secs(1_767_323_045);

pub fn word(text: &str) -> Word {
    Word::parse(text).expect("a word")
}

/// Something to enter that differs by its number.
pub fn purged(count: u64) -> Entry {
    Entry {
        at: AT,
        fact: Fact::Purged(Purged {
            kind: word("receipts"),
            count,
            reason: PurgeReason::Expired,
        }),
    }
}

pub fn beginning(number: u64, seed: &[u8; 32]) -> NewEpoch {
    let signing_key = Arc::new(SigningKey::from_seed("receipt-1", seed).expect("a key"));
    NewEpoch {
        at: AT,
        start: EpochStart {
            epoch: number,
            keyset: Sha256Digest::hash(seed),
            key: signing_key.verifying_key(),
            config: Sha256Digest::hash(b"config"),
            retention: Sha256Digest::hash(b"retention"),
            mode: word("metadata"),
            not_after: AT.plus(Duration::from_secs(86_400)),
            reason: EpochReason::Start,
        },
        signing_key,
        retention: None,
    }
}

pub async fn begin(log: &AuditLog, number: u64) -> Arc<EpochLog> {
    let seed = [number as u8; 32];
    log.begin_epoch(beginning(number, &seed))
        .await
        .expect("an epoch")
}

pub async fn open(directory: &Path) -> AuditLog {
    AuditLog::open(directory).await.expect("a log")
}

/// Every entry of the newest head, replayed.
pub async fn replayed(log: &AuditLog) -> (Replay, Vec<Entry>) {
    let head = log.latest_head().await.expect("readable").expect("a head");
    let mut replay = Replay::default();
    let mut entries = Vec::new();
    for bytes in log.entries(0..head.claimed().size).await.expect("entries") {
        entries.push(replay.push(&bytes).expect("an entry in its place"));
    }
    replay
        .check_content(head.claimed())
        .expect("the head's entries");
    replay
        .check_signer(&head)
        .expect("the active epoch signed it");
    (replay, entries)
}
