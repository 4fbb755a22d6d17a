//! Collateral for our own evidence, fetched rarely.
//!
//! It is the same for every quote of this machine until the vendor publishes anew, so one fetch serves many
//! questions. A failed fetch is remembered for a short while, too.

use std::sync::Arc;
use std::time::Duration;

use attest_core::{Collateral, CpuEvidence};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::events::{self, Event};
use crate::platform::Platform;

/// Vendors publish collateral weeks before the old expires, and fetch errors must not starve us.
const FRESH: Duration = Duration::from_secs(3600);
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// For how long expired-by-our-rule collateral is still handed out when the vendor cannot be reached.
const STALE: Duration = Duration::from_secs(24 * 3600);
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(super) struct CollateralCache(Mutex<State>);

#[derive(Default)]
struct State {
    held: Option<(Arc<Collateral>, Instant)>,
    failed_at: Option<Instant>,
}

impl CollateralCache {
    /// The collateral for `evidence`, if it can be had. One caller fetches, the others wait for it.
    pub async fn get(
        &self,
        platform: &dyn Platform,
        evidence: &CpuEvidence,
    ) -> Option<Arc<Collateral>> {
        let mut state = self.0.lock().await;
        if let Some((held, at)) = &state.held
            && at.elapsed() < FRESH
        {
            return Some(held.clone());
        }
        if state
            .failed_at
            .is_none_or(|at| at.elapsed() >= AFTER_FAILURE)
        {
            match tokio::time::timeout(PATIENCE, platform.collateral(evidence)).await {
                Ok(Some(collateral)) => {
                    let collateral = Arc::new(collateral);
                    *state = State {
                        held: Some((collateral.clone(), Instant::now())),
                        failed_at: None,
                    };
                    return Some(collateral);
                }
                Ok(None) | Err(_) => {
                    state.failed_at = Some(Instant::now());
                    events::emit(Event::CollateralMissing);
                }
            }
        }
        let (held, at) = state.held.as_ref()?;
        (at.elapsed() < STALE).then(|| held.clone())
    }
}
