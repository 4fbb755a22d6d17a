//! Access to the machine's hardware evidence and to the collateral for it.
//!
//! [`HardwarePlatform`] is the only implementation in the shipped binaries: evidence comes from the guest's kernel and
//! drivers, collateral from the hardware's vendors. The service does not start if the configured
//! hardware is missing.

mod collateral;
mod hardware;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_collect::{Attester, DeviceAttester, EventLogSource};
use attest_core::nvidia::UnverifiedDevice;
use attest_core::{Collateral, CpuEvidence};

pub use hardware::{HardwarePlatform, PlatformError};

/// The evidence that collateral is requested for.
#[derive(Clone, Copy, Debug)]
pub struct EvidenceRef<'a> {
    pub cpu: &'a CpuEvidence,
    pub devices: &'a [UnverifiedDevice],
}

/// Where hardware evidence and its collateral come from.
pub trait Platform: Send + Sync + 'static {
    /// Signs report data on this machine; `None` without a TEE.
    fn attester(&self) -> Option<Arc<dyn Attester>>;

    /// Collects evidence of the devices beside the CPU; `None` if reports contain none.
    fn devices(&self) -> Option<Arc<dyn DeviceAttester>> {
        None
    }

    /// Reads the boot event log; `None` if reports contain none.
    fn event_log(&self) -> Option<Arc<dyn EventLogSource>> {
        None
    }

    /// What a verifier needs to check this evidence offline, as far as it is available.
    fn collateral<'a>(&'a self, evidence: EvidenceRef<'a>) -> BoxFuture<'a, Collateral>;

    /// The service's clock.
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
}
