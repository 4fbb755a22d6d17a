//! A source with a cache on disk.
//!
//! Cached collateral is as unproven as fetched collateral: the verifier that uses it verifies it, every time.
//! Reading it checks that it is whole, not expired, and the answer to this request.
//!
//! While an entry is *fresh* the source is not asked. From then until the vendor's date (*expires*) the
//! source is asked first, and the entry is used if the source fails:
//!
//! | | fresh for | expires |
//! |---|---|---|
//! | Intel | a day | the earliest `nextUpdate` |
//! | AMD | a day; an hour without a revocation list | `nextUpdate` of the revocation list; an hour without one |
//! | NVIDIA's manifests | a day | after 30 days |
//! | NVIDIA's OCSP responses | an hour | after a day |
//!
//! If the cache cannot be written, every request is fetched; nothing fails.

mod disk;
mod expiry;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use attest_core::nvidia::UnverifiedDevice;
use attest_core::tdx;
use attest_core::{Collateral, NvidiaCollateral, SnpCollateral, TdxCollateral, UnixTime};

use crate::kds::KdsRequest;
use crate::nvidia::{manifests_cache_key, revocation_cache_key};
use crate::{CollateralSource, FetchError};
use disk::{Disk, Key};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

type Clock = Arc<dyn Fn() -> UnixTime + Send + Sync>;

/// Another source, asked only for what is not in the cache or no longer fresh.
#[derive(Clone)]
pub struct Cached<S> {
    source: S,
    disk: Disk,
    clock: Clock,
}

impl<S: CollateralSource> Cached<S> {
    /// Caches in `dir`, which is created if it does not exist, readable by its owner only.
    pub fn new(
        source: S,
        dir: PathBuf,
        clock: impl Fn() -> UnixTime + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Ok(Self {
            source,
            disk: Disk::open(dir)?,
            clock: Arc::new(clock),
        })
    }

    async fn read(&self, key: &Key) -> Option<(Collateral, UnixTime)> {
        let (disk, key, now) = (self.disk.clone(), key.clone(), (self.clock)());
        let reading = tokio::task::spawn_blocking(move || disk.read(&key, now));
        reading.await.ok().flatten()
    }

    async fn write(&self, key: Key, collateral: Collateral, expires: UnixTime) {
        let (disk, now) = (self.disk.clone(), (self.clock)());
        if expires <= now {
            return;
        }
        // On a blocking thread, and awaited: the next request finds it.
        let writing =
            tokio::task::spawn_blocking(move || disk.write(&key, &collateral, now, expires));
        // A failed write means that the next request is fetched again.
        let _ = writing.await;
    }

    /// The part that `part_of` takes from the cached collateral, or what `fetch` returns.
    async fn cached_or_fetched<T>(
        &self,
        key: Key,
        fresh: Duration,
        part_of: impl Fn(Collateral) -> Option<T>,
        fetch: impl Future<Output = Result<T, FetchError>>,
        expires: impl Fn(&T) -> Option<UnixTime>,
        lacks_part: impl Fn(&T, &T) -> bool,
    ) -> Result<T, FetchError>
    where
        T: Clone + Into<Collateral>,
    {
        let known = self.read(&key).await;
        let known = known.and_then(|(known, since)| Some((part_of(known)?, since)));
        if let Some((known, since)) = &known
            && (self.clock)() < since.plus(fresh)
        {
            return Ok(known.clone());
        }
        match fetch.await {
            Ok(fetched) => {
                // The cached entry has a part that the service no longer returns, and has not expired: it stays.
                if let Some((known, _)) = known
                    && lacks_part(&fetched, &known)
                {
                    return Ok(known);
                }
                if let Some(expires) = expires(&fetched) {
                    self.write(key, fetched.clone().into(), expires).await;
                }
                Ok(fetched)
            }
            // The source failed: an entry that has not expired is good enough.
            Err(error) => known.map(|(known, _)| known).ok_or(error),
        }
    }

    fn after(&self, time: Duration) -> Option<UnixTime> {
        Some((self.clock)().plus(time))
    }
}

impl<S: CollateralSource> CollateralSource for Cached<S> {
    async fn tdx(&self, quote: &[u8]) -> Result<TdxCollateral, FetchError> {
        let platform = tdx::decode(quote)?.and_then(|facts| facts.platform);
        let platform = platform.ok_or(FetchError::Platform)?;
        let key = Key::new(
            "tdx",
            &[&platform.fmspc, platform.issuer.as_bytes()].concat(),
        );
        let fetch = self.source.tdx(quote);
        self.cached_or_fetched(
            key,
            DAY,
            |known| known.tdx,
            fetch,
            expiry::of_tdx,
            |_, _| false,
        )
        .await
    }

    async fn snp(&self, report: &[u8], certs: &[u8]) -> Result<SnpCollateral, FetchError> {
        let key = Key::new("snp", &KdsRequest::read(report, certs)?.cache_key());
        let fetch = self.source.snp(report, certs);
        // Collateral without a revocation list is fetched again soon, since it may be complete then.
        let expires =
            |fetched: &SnpCollateral| expiry::of_snp(fetched).or_else(|| self.after(HOUR));
        let lacks_list = |fetched: &SnpCollateral, known: &SnpCollateral| {
            fetched.crl.is_none() && known.crl.is_some()
        };
        self.cached_or_fetched(key, DAY, |known| known.snp, fetch, expires, lacks_list)
            .await
    }

    async fn manifests(
        &self,
        devices: &[UnverifiedDevice],
    ) -> Result<NvidiaCollateral, FetchError> {
        let key = Key::new("rims", &manifests_cache_key(devices)?);
        let fetch = self.source.manifests(devices);
        let expires = |_: &NvidiaCollateral| self.after(MONTH);
        self.cached_or_fetched(key, DAY, |known| known.nvidia, fetch, expires, |_, _| false)
            .await
    }

    async fn revocation(
        &self,
        devices: &[UnverifiedDevice],
    ) -> Result<NvidiaCollateral, FetchError> {
        let key = Key::new("ocsp", &revocation_cache_key(devices)?);
        let fetch = self.source.revocation(devices);
        let expires = |_: &NvidiaCollateral| self.after(DAY);
        self.cached_or_fetched(
            key,
            HOUR,
            |known| known.nvidia,
            fetch,
            expires,
            |_, _| false,
        )
        .await
    }
}
