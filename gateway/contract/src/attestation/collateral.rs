//! Collateral for our own evidence, gathered rarely.
//!
//! It is the same for every question of this machine until a vendor publishes anew, so one gathering serves many
//! questions. What could not be had is tried again after a short while, so that a vendor who does not answer is not
//! waited for by every caller. How long collateral is good for is the business of whoever remembers it on disk.

use std::sync::Arc;
use std::time::Duration;

use attest_core::{Collateral, CpuEvidence};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::platform::{Platform, Presented};
use gateway_base::events::{self, Event};

const FRESH: Duration = Duration::from_secs(300);
const AFTER_FAILURE: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct CollateralCache(Mutex<Option<Gathered>>);

struct Gathered {
    collateral: Arc<Collateral>,
    at: Instant,
    whole: bool,
}

impl Gathered {
    fn is_fresh(&self) -> bool {
        let fresh = if self.whole { FRESH } else { AFTER_FAILURE };
        self.at.elapsed() < fresh
    }
}

impl CollateralCache {
    /// What can be had for this evidence, if anything. One caller gathers, the others wait for it.
    pub async fn get(
        &self,
        platform: &dyn Platform,
        presented: Presented<'_>,
    ) -> Option<Arc<Collateral>> {
        let mut held = self.0.lock().await;
        let gathered = match held.take().filter(Gathered::is_fresh) {
            Some(gathered) => gathered,
            None => gather(platform, presented).await,
        };
        let collateral = gathered.collateral.clone();
        *held = Some(gathered);
        (*collateral != Collateral::default()).then_some(collateral)
    }
}

async fn gather(platform: &dyn Platform, presented: Presented<'_>) -> Gathered {
    let collateral = platform.collateral(presented).await;
    let whole = is_whole(&collateral, presented);
    if !whole {
        events::emit(Event::CollateralMissing);
    }
    Gathered {
        collateral: Arc::new(collateral),
        at: Instant::now(),
        whole,
    }
}

/// Whether every piece of evidence has what judges it.
fn is_whole(collateral: &Collateral, presented: Presented<'_>) -> bool {
    let cpu = match presented.cpu {
        CpuEvidence::Tdx { .. } => collateral.tdx.is_some(),
        CpuEvidence::SevSnp { .. } => collateral.snp.is_some(),
    };
    let nvidia = collateral.nvidia.as_ref();
    let devices = presented.devices.is_empty()
        || nvidia.is_some_and(|part| !part.rims.is_empty() && !part.ocsp.is_empty());
    cpu && devices
}
