//! A source with a memory on disk.
//!
//! What is remembered is as unproven as what is fetched: it is verified by whoever judges with it,
//! every time. Reading it checks that it is whole, in its time, and the answer to this question.
//!
//! For a while (*fresh*) the cache answers alone. From then until the vendor's own date (*due*) the
//! source is asked, and the cache answers where the source cannot:
//!
//! | | fresh for | due |
//! |---|---|---|
//! | Intel | a day | the earliest `nextUpdate` |
//! | AMD | a day; an hour without a revocation list | `nextUpdate` of the revocation list; an hour without one |
//! | NVIDIA's manifests | a day | after 30 days |
//! | NVIDIA's revocation answers | an hour | after a day |
//!
//! A cache that cannot be written costs fetches and nothing else.

mod disk;
mod due;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use attest_core::nvidia::UnverifiedDevice;
use attest_core::tdx;
use attest_core::{Collateral, NvidiaCollateral, SnpCollateral, TdxCollateral, UnixTime};

use crate::kds::Asked;
use crate::nvidia::{manifests_question, revocation_question};
use crate::{CollateralSource, FetchError};
use disk::{Disk, Key};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

type Clock = Arc<dyn Fn() -> UnixTime + Send + Sync>;

/// Another source, asked only for what is not at hand.
#[derive(Clone)]
pub struct Cached<S> {
    source: S,
    disk: Disk,
    clock: Clock,
}

impl<S: CollateralSource> Cached<S> {
    /// Remembers in `dir`, which is made if it is not there, readable to its owner alone.
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

    async fn write(&self, key: Key, collateral: Collateral, due: UnixTime) {
        let (disk, now) = (self.disk.clone(), (self.clock)());
        if due <= now {
            return;
        }
        let writing = tokio::task::spawn_blocking(move || disk.write(&key, &collateral, now, due));
        // Not remembered, then.
        let _ = writing.await;
    }

    /// The part that `of` takes out of what is known, or what `fetch` brings.
    async fn remembered<T>(
        &self,
        key: Key,
        fresh: Duration,
        of: impl Fn(Collateral) -> Option<T>,
        fetch: impl Future<Output = Result<T, FetchError>>,
        due: impl Fn(&T) -> Option<UnixTime>,
        lacks_part: impl Fn(&T, &T) -> bool,
    ) -> Result<T, FetchError>
    where
        T: Clone + Into<Collateral>,
    {
        let known = self.read(&key).await;
        let known = known.and_then(|(known, since)| Some((of(known)?, since)));
        if let Some((known, since)) = &known
            && (self.clock)() < since.plus(fresh)
        {
            return Ok(known.clone());
        }
        match fetch.await {
            Ok(fetched) => {
                // A service that has lost a part does not cost the one that is known and not due.
                if let Some((known, _)) = known
                    && lacks_part(&fetched, &known)
                {
                    return Ok(known);
                }
                if let Some(due) = due(&fetched) {
                    self.write(key, fetched.clone().into(), due).await;
                }
                Ok(fetched)
            }
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
        let question = [&platform.fmspc, platform.issuer.as_bytes()].concat();
        let key = Key::new("tdx", &question);
        let fetch = self.source.tdx(quote);
        self.remembered(
            key,
            DAY,
            |known| known.tdx,
            fetch,
            due::of_tdx,
            |_, _| false,
        )
        .await
    }

    async fn snp(&self, report: &[u8], certs: &[u8]) -> Result<SnpCollateral, FetchError> {
        let key = Key::new("snp", &Asked::of(report, certs)?.question());
        let fetch = self.source.snp(report, certs);
        // Without a list it is asked for again soon.
        let due = |fetched: &SnpCollateral| due::of_snp(fetched).or_else(|| self.after(HOUR));
        let lacks_list = |fetched: &SnpCollateral, known: &SnpCollateral| {
            fetched.crl.is_none() && known.crl.is_some()
        };
        self.remembered(key, DAY, |known| known.snp, fetch, due, lacks_list)
            .await
    }

    async fn manifests(
        &self,
        devices: &[UnverifiedDevice],
    ) -> Result<NvidiaCollateral, FetchError> {
        let key = Key::new("rims", &manifests_question(devices)?);
        let fetch = self.source.manifests(devices);
        let due = |_: &NvidiaCollateral| self.after(MONTH);
        self.remembered(key, DAY, |known| known.nvidia, fetch, due, |_, _| false)
            .await
    }

    async fn revocation(
        &self,
        devices: &[UnverifiedDevice],
    ) -> Result<NvidiaCollateral, FetchError> {
        let key = Key::new("ocsp", &revocation_question(devices)?);
        let fetch = self.source.revocation(devices);
        let due = |_: &NvidiaCollateral| self.after(DAY);
        self.remembered(key, HOUR, |known| known.nvidia, fetch, due, |_, _| false)
            .await
    }
}
