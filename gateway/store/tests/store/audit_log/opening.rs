//! Opening a log: which file is refused, and how long a start takes to read the whole log.

use std::time::Instant;

use gateway_store::StoreError;
use gateway_store::audit::AuditLog;
use testkit::scratch::ScratchDir;

use super::altered::alter;
use super::support::{begin, open, purged};

/// How many entries the largest log has that is measured.
const ENTRIES: &str = "SEALGATE_LOG_ENTRIES";

/// Not a test but a measurement: what opening costs, by size. `make log-start`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn time_to_open_a_log_by_its_size() {
    let most = std::env::var(ENTRIES)
        .ok()
        .and_then(|most| most.parse().ok());
    let most: u64 = most.unwrap_or(1_000_000);
    let scratch = ScratchDir::new("log-start").expect("a directory");
    let log = open(scratch.path()).await;
    begin(&log, 1).await;
    log.close().await;
    for decade in 0.. {
        let size = 1_000 * 10_u64.pow(decade);
        if size > most {
            break;
        }
        let log = open(scratch.path()).await;
        begin(&log, u64::from(decade) + 2).await;
        while log.size().await.expect("readable") < size {
            let left = size - log.size().await.expect("readable");
            (0..left.min(50_000)).for_each(|count| log.note(purged(count)));
            log.flush().await.expect("entered");
        }
        log.close().await;
        let before = Instant::now();
        let log = open(scratch.path()).await;
        let took = before.elapsed();
        log.close().await;
        let len =
            std::fs::metadata(scratch.path().join("audit.sqlite")).map_or(0, |file| file.len());
        println!(
            "{size} entries: {:.3} s, {:.1} µs each; {:.1} MB",
            took.as_secs_f64(),
            took.as_secs_f64() * 1e6 / size as f64,
            len as f64 / 1e6
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_a_newer_version_is_refused_unchanged() {
    let scratch = ScratchDir::new("log-newer").expect("a directory");
    let log = open(scratch.path()).await;
    let origin = log.origin();
    log.close().await;
    alter(scratch.path(), "PRAGMA user_version = 3").await;
    let newer = |refused: Option<StoreError>| {
        let Some(StoreError::Newer { found, known, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((found, known), (3, 2));
    };
    newer(AuditLog::open(scratch.path()).await.err());
    newer(AuditLog::open_beside(scratch.path()).await.err());
    newer(AuditLog::check(scratch.path()).await.err());
    alter(scratch.path(), "PRAGMA user_version = 2").await;
    let log = open(scratch.path()).await;
    assert_eq!(log.origin(), origin);
    assert_eq!(log.size().await.expect("readable"), 1);
}
