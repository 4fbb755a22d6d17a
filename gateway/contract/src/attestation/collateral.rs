//! A cache of the collateral for our own evidence, in memory.
//!
//! Collateral is the same for every report of this machine until a vendor publishes a new version, so it is fetched
//! once for many reports. After an incomplete fetch the next one comes sooner, but not with every report, so that a
//! vendor's service that does not answer does not delay every caller. The cache on disk ([`crate::platform`]) decides
//! how long each document stays valid.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::platform::{EvidenceRef, Platform};
use attest_core::{Collateral, CpuEvidence};
use gateway_base::events::{self, Event};

/// How long complete collateral is used before it is fetched again.
const REFRESH_AFTER: Duration = Duration::from_secs(300);
/// The same where a part is missing.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The lock is held across the fetch, so that concurrent callers wait for one fetch instead of starting their own.
#[derive(Default)]
pub(super) struct CollateralCache(Mutex<Option<Fetched>>);

struct Fetched {
    collateral: Arc<Collateral>,
    at: Instant,
    complete: bool,
}

impl Fetched {
    fn is_fresh(&self) -> bool {
        let limit = match self.complete {
            true => REFRESH_AFTER,
            false => RETRY_AFTER,
        };
        self.at.elapsed() < limit
    }
}

impl CollateralCache {
    /// The collateral for this evidence, as far as it is available; `None` if no part is.
    pub async fn get(
        &self,
        platform: &dyn Platform,
        evidence: EvidenceRef<'_>,
    ) -> Option<Arc<Collateral>> {
        let mut cached = self.0.lock().await;
        // Taken, not borrowed: if the caller stops waiting during the fetch, the outdated value does not remain, and
        // the next caller fetches.
        let fetched = match cached.take().filter(Fetched::is_fresh) {
            Some(fetched) => fetched,
            None => fetch(platform, evidence).await,
        };
        let collateral = fetched.collateral.clone();
        *cached = Some(fetched);
        (*collateral != Collateral::default()).then_some(collateral)
    }
}

async fn fetch(platform: &dyn Platform, evidence: EvidenceRef<'_>) -> Fetched {
    let collateral = platform.collateral(evidence).await;
    let complete = is_complete(&collateral, evidence);
    if !complete {
        events::emit(Event::CollateralMissing);
    }
    Fetched {
        collateral: Arc::new(collateral),
        at: Instant::now(),
        complete,
    }
}

/// Whether a verifier can check every piece of evidence with it.
fn is_complete(collateral: &Collateral, evidence: EvidenceRef<'_>) -> bool {
    let cpu = match evidence.cpu {
        CpuEvidence::Tdx { .. } => collateral.tdx.is_some(),
        CpuEvidence::SevSnp { .. } => collateral.snp.is_some(),
    };
    let nvidia = collateral.nvidia.as_ref();
    let devices = evidence.devices.is_empty()
        || nvidia.is_some_and(|part| !part.rims.is_empty() && !part.ocsp.is_empty());
    cpu && devices
}
