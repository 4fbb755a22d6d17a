//! What the cache remembers, and what it takes for absent.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use attest_core::{ReportData, SnpCollateral, TdxCollateral, UnixTime};
use attest_fetch::{Cached, CollateralSource, FetchError};
use testkit::amd::MockAmd;
use testkit::amd::knobs::{EndorsementKey, Processor};
use testkit::scratch::ScratchDir;
use testkit::{SoftwarePlatform, TdMeasurements};

const NOW: u64 = 1_790_000_000;
const DAY: u64 = 24 * 3600;

/// Says something else each time, and counts.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicU64>);

impl CollateralSource for Counting {
    async fn snp(&self, _: &[u8], _: &[u8]) -> Result<SnpCollateral, FetchError> {
        let count = self.0.fetch_add(1, Ordering::SeqCst);
        Ok(SnpCollateral {
            vek: vec![u8::try_from(count % 256).expect("a byte"); 4096],
            ask: vec![1],
            crl: Some(amd().crl()),
        })
    }

    async fn tdx(&self, _: &[u8]) -> Result<TdxCollateral, FetchError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(platform().collateral().tdx.expect("TDX collateral"))
    }
}

fn platform() -> SoftwarePlatform {
    SoftwarePlatform::from_seed(&[3; 32], UnixTime::from_secs(NOW))
}

fn amd() -> MockAmd {
    MockAmd::healthy(&[5; 32], Processor::Genoa, EndorsementKey::Vcek, NOW)
}

fn report() -> Vec<u8> {
    amd().report("guest", &[1; 64])
}

fn cached(source: &Counting, dir: &ScratchDir, now: u64) -> Cached<Counting> {
    let place = dir.path().join("cache");
    Cached::new(source.clone(), place, move || UnixTime::from_secs(now)).expect("a folder")
}

fn only_file(dir: &ScratchDir) -> PathBuf {
    let mut files = std::fs::read_dir(dir.path().join("cache")).expect("a folder");
    let file = files.next().expect("a file").expect("a file").path();
    assert!(files.next().is_none());
    file
}

#[tokio::test]
async fn fetches_an_entry_once_until_it_expires() {
    let (source, dir) = (
        Counting::default(),
        ScratchDir::new("cache").expect("a folder"),
    );
    let first = cached(&source, &dir, NOW).snp(&report(), &[]).await;
    for (now, fetches) in [(NOW, 1), (NOW + DAY - 1, 1), (NOW + DAY, 2), (NOW - 1, 3)] {
        let again = cached(&source, &dir, now).snp(&report(), &[]).await;
        assert_eq!(again == first, fetches == 1, "{now}");
        assert_eq!(source.0.load(Ordering::SeqCst), fetches, "{now}");
    }
    let mode = std::fs::metadata(only_file(&dir))
        .expect("a file")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[tokio::test]
async fn keeps_intels_collateral_until_its_earliest_next_update() {
    let (source, dir) = (
        Counting::default(),
        ScratchDir::new("cache").expect("a folder"),
    );
    let quote = platform().quote(
        &TdMeasurements::named("enclave"),
        &ReportData::observed([1; 64]),
    );
    for (now, fetches) in [
        (NOW, 1),
        (NOW + 60, 1),
        (NOW + 400 * DAY, 2),
        (NOW + 400 * DAY, 3),
    ] {
        let fetched = cached(&source, &dir, now).tdx(&quote).await;
        assert_eq!(fetched.ok(), platform().collateral().tdx);
        assert_eq!(source.0.load(Ordering::SeqCst), fetches, "{now}");
    }
}

/// A service that becomes unreachable.
struct Failing(Arc<AtomicU64>);

impl CollateralSource for Failing {
    async fn tdx(&self, _: &[u8]) -> Result<TdxCollateral, FetchError> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(platform().collateral().tdx.expect("TDX collateral")),
            _ => Err(FetchError::Connect { what: "TCB info" }),
        }
    }
}

#[tokio::test]
async fn serves_from_the_cache_until_next_update_while_the_vendor_is_unreachable() {
    let (asked, dir) = (
        Arc::new(AtomicU64::new(0)),
        ScratchDir::new("cache").expect("a folder"),
    );
    let quote = platform().quote(
        &TdMeasurements::named("enclave"),
        &ReportData::observed([1; 64]),
    );
    let gone = Err(FetchError::Connect { what: "TCB info" });
    let known = Ok(platform().collateral().tdx.expect("TDX collateral"));
    for (now, times, answer) in [
        (NOW, 1, &known),
        (NOW + DAY - 1, 1, &known),
        (NOW + DAY, 2, &known),
        (NOW + 400 * DAY, 3, &gone),
    ] {
        let place = dir.path().join("cache");
        let cached = Cached::new(Failing(asked.clone()), place, move || {
            UnixTime::from_secs(now)
        });
        let fetched = cached.expect("a folder").tdx(&quote).await;
        assert_eq!(&fetched, answer, "{now}");
        assert_eq!(asked.load(Ordering::SeqCst), times, "{now}");
    }
}

#[tokio::test]
async fn fetches_again_if_the_cached_file_was_changed() {
    let (source, dir) = (
        Counting::default(),
        ScratchDir::new("cache").expect("a folder"),
    );
    let cache = cached(&source, &dir, NOW);
    let mut fetched = cache.snp(&report(), &[]).await;
    let whole = std::fs::read(only_file(&dir)).expect("a file");
    let mut flipped = whole.clone();
    flipped[whole.len() - 10] ^= 1;
    let damaged = [
        vec![],
        whole[..whole.len() / 2].to_vec(),
        flipped,
        vec![b'x'; 9 << 20],
    ];
    for bytes in damaged {
        std::fs::write(only_file(&dir), bytes).expect("written");
        let again = cache.snp(&report(), &[]).await;
        assert_ne!(again, fetched);
        assert_eq!(cache.snp(&report(), &[]).await, again);
        fetched = again;
    }
    assert_eq!(source.0.load(Ordering::SeqCst), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writers_leave_one_whole_file() {
    let (source, dir) = (
        Counting::default(),
        ScratchDir::new("cache").expect("a folder"),
    );
    let writers: Vec<_> = (0..64)
        .map(|_| {
            let cache = cached(&source, &dir, NOW);
            tokio::spawn(async move { cache.snp(&report(), &[]).await })
        })
        .collect();
    for writer in writers {
        let fetched = writer.await.expect("no panic").expect("collateral");
        assert!(fetched.vek.iter().all(|byte| *byte == fetched.vek[0]));
    }
    let fetches = source.0.load(Ordering::SeqCst);
    let kept = cached(&source, &dir, NOW)
        .snp(&report(), &[])
        .await
        .expect("kept");
    assert_eq!(source.0.load(Ordering::SeqCst), fetches);
    assert_eq!(kept.vek.len(), 4096);
    only_file(&dir);
}

/// A service whose revocation list disappears after the first answer.
struct LosesList(Arc<AtomicU64>);

impl CollateralSource for LosesList {
    async fn snp(&self, _: &[u8], _: &[u8]) -> Result<SnpCollateral, FetchError> {
        let amd = amd();
        let crl = match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Some(amd.crl()),
            _ => None,
        };
        Ok(SnpCollateral {
            vek: amd.vek().to_vec(),
            ask: amd.ask().to_vec(),
            crl,
        })
    }
}

#[tokio::test]
async fn keeps_a_cached_revocation_list_when_the_service_no_longer_has_it() {
    let (asked, dir) = (
        Arc::new(AtomicU64::new(0)),
        ScratchDir::new("cache").expect("a folder"),
    );
    for (now, times, has_list) in [
        (NOW, 1, true),
        (NOW + DAY, 2, true),
        (NOW + 4000 * DAY, 3, false),
        (NOW + 4000 * DAY + 3599, 3, false),
        (NOW + 4000 * DAY + 3600, 4, false),
    ] {
        let place = dir.path().join("cache");
        let cached = Cached::new(LosesList(asked.clone()), place, move || {
            UnixTime::from_secs(now)
        });
        let fetched = cached.expect("a folder").snp(&report(), &[]).await;
        let fetched = fetched.expect("collateral");
        assert_eq!(fetched.crl.is_some(), has_list, "{now}");
        assert_eq!(asked.load(Ordering::SeqCst), times, "{now}");
    }
}
