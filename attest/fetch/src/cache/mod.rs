//! A source with a memory on disk.
//!
//! What is remembered is as unproven as what is fetched: it is verified by whoever judges with it,
//! every time. The cache only answers the same question again, for as long as the vendor lets:
//! Intel states when each part is due to be replaced; AMD's and NVIDIA's parts get a fixed time.
//! A cache that cannot be written costs fetches and nothing else.

mod disk;
mod due;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use attest_core::nvidia::UnverifiedDevice;
use attest_core::tdx;
use attest_core::{Collateral, NvidiaCollateral, SnpCollateral, TdxCollateral, UnixTime};

use crate::kds::Asked;
use crate::{CollateralSource, FetchError};
use disk::{Disk, Key};

/// AMD's list says when it is due itself, which judging it takes into account.
const AMD: Duration = Duration::from_secs(24 * 3600);
/// Revocation answers are wanted young.
const NVIDIA: Duration = Duration::from_secs(3600);

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

    async fn read(&self, key: &Key) -> Option<Collateral> {
        let (disk, key, now) = (self.disk.clone(), key.clone(), (self.clock)());
        let reading = tokio::task::spawn_blocking(move || disk.read(&key, now));
        reading.await.ok().flatten()
    }

    async fn write(&self, key: Key, collateral: Collateral, good_until: Option<UnixTime>) {
        let (disk, now) = (self.disk.clone(), (self.clock)());
        let Some(until) = good_until.filter(|until| *until > now) else {
            return;
        };
        let writing =
            tokio::task::spawn_blocking(move || disk.write(&key, &collateral, now, until));
        // Not remembered, then.
        let _ = writing.await;
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
        if let Some(known) = self.read(&key).await.and_then(|known| known.tdx) {
            return Ok(known);
        }
        let fetched = self.source.tdx(quote).await?;
        let due = due::of(&fetched);
        self.write(key, fetched.clone().into(), due).await;
        Ok(fetched)
    }

    async fn snp(&self, report: &[u8], certs: &[u8]) -> Result<SnpCollateral, FetchError> {
        let key = Key::new("snp", &Asked::of(report, certs)?.question());
        if let Some(known) = self.read(&key).await.and_then(|known| known.snp) {
            return Ok(known);
        }
        let fetched = self.source.snp(report, certs).await?;
        self.write(key, fetched.clone().into(), self.after(AMD))
            .await;
        Ok(fetched)
    }

    async fn nvidia(&self, devices: &[UnverifiedDevice]) -> Result<NvidiaCollateral, FetchError> {
        let key = Key::new("nvidia", &crate::nvidia::question(devices)?);
        if let Some(known) = self.read(&key).await.and_then(|known| known.nvidia) {
            return Ok(known);
        }
        let fetched = self.source.nvidia(devices).await?;
        self.write(key, fetched.clone().into(), self.after(NVIDIA))
            .await;
        Ok(fetched)
    }
}
