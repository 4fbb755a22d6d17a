//! What the machine beneath us can prove.
//!
//! [`HardwarePlatform`] is the only implementation in the shipped binaries: evidence comes from the guest's kernel and
//! drivers, collateral from the hardware's vendors. It refuses to start where the hardware is missing.

mod collateral;
mod hardware;

use std::sync::Arc;

use attest_collect::{Attester, DeviceAttester, EventLogSource};
use attest_core::nvidia::UnverifiedDevice;
use attest_core::{Collateral, CpuEvidence};
use futures_util::future::BoxFuture;

use attest_channel::Clock;
use attest_channel::SystemClock;

pub use hardware::{HardwarePlatform, PlatformError};

/// The evidence that collateral is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    pub cpu: &'a CpuEvidence,
    pub devices: &'a [UnverifiedDevice],
}

/// Where hardware evidence and its collateral come from.
pub trait Platform: Send + Sync + 'static {
    /// What signs report data on this machine; none where there is no TEE.
    fn attester(&self) -> Option<Arc<dyn Attester>>;

    /// What has the devices beside the CPU sign; none where none are to be shown.
    fn devices(&self) -> Option<Arc<dyn DeviceAttester>> {
        None
    }

    /// Where the boot event log is read; none where there is none to be shown.
    fn event_log(&self) -> Option<Arc<dyn EventLogSource>> {
        None
    }

    /// What a verifier needs to judge this offline: the parts that can be had.
    fn collateral<'a>(&'a self, presented: Presented<'a>) -> BoxFuture<'a, Collateral>;

    /// The time the service lives by.
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
}
