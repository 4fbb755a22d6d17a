//! What a receipt costs in the audit log, by the number of receipts that the log has.

use std::time::{Duration, Instant};

use testkit::scratch::ScratchDir;

use super::support::{begin, open};
use attest_core::Sha256Digest;

/// How many receipts the largest log has that is measured.
const RECEIPTS: &str = "SEALGATE_LOG_RECEIPTS";
/// Receipts entered together, as one second of heavy traffic does.
const BATCH: u64 = 4096;
/// Receipts measured at each size.
const MEASURED: u64 = 32 * BATCH;

/// Not a test but a measurement: what a receipt costs the request and the writer. `make log-receipts`.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a measurement"]
async fn cost_of_a_receipt_by_the_logs_size() {
    let most = std::env::var(RECEIPTS)
        .ok()
        .and_then(|most| most.parse().ok());
    let most: u64 = most.unwrap_or(1_000_000);
    let scratch = ScratchDir::new("log-receipts").expect("a directory");
    let log = open(scratch.path()).await;
    let epoch = begin(&log, 1).await;
    let mut entered = 0;
    while entered < most {
        let digests: Vec<_> = (entered..entered + MEASURED).map(digest).collect();
        let (cpu, mut handed_over) = (cpu_time(), Duration::ZERO);
        for batch in digests.chunks(BATCH as usize) {
            let before = Instant::now();
            batch.iter().for_each(|digest| log.receipt(*digest));
            handed_over += before.elapsed();
            log.flush().await.expect("entered");
        }
        let durable = cpu_time().saturating_sub(cpu);
        entered += MEASURED;
        let before = Instant::now();
        for digest in digests.iter().step_by(MEASURED as usize / 8) {
            let proof = log.receipt_proof(digest, &epoch).await;
            assert!(proof.expect("readable").is_some());
        }
        println!(
            "{entered} receipts: {:.3} µs of a request, {:.2} µs of CPU in all; a proof {:.2} ms; {:.1} bytes each",
            each(handed_over),
            each(durable),
            before.elapsed().as_secs_f64() * 1e3 / 8.0,
            size(scratch.path()) as f64 / entered as f64,
        );
    }
    log.close().await;
}

fn digest(number: u64) -> Sha256Digest {
    Sha256Digest::hash(&number.to_be_bytes())
}

fn each(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6 / MEASURED as f64
}

fn size(directory: &std::path::Path) -> u64 {
    let file = directory.join("audit.sqlite");
    std::fs::metadata(file).map_or(0, |file| file.len())
}

/// The CPU time of all threads, from the kernel.
fn cpu_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").expect("threads");
    let times = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}
