//! Collects evidence about this guest from its firmware and devices.
//!
//! Three traits: [`Attester`] has the hardware sign 64 bytes of report
//! data, on Linux through configfs-tsm ([`ConfigfsTsm`]), or on older kernels through the device
//! `/dev/sev-guest` ([`SevGuest`]). [`DeviceAttester`] collects from the devices beside the CPU
//! ([`NvidiaDevices`]), and [`EventLogSource`] returns what was measured during boot
//! ([`EventLogFile`]). Evidence is returned as the hardware gave it and not checked: the receiver verifies and
//! appraises it with `attest_core`, never the machine that produced it.

mod configfs;
mod devices;
mod error;
mod event_log;
mod sev_guest;

pub use configfs::{ConfigfsTsm, DEFAULT_BASE};
pub use devices::{DeviceAttester, DeviceError, DriverRequest, NvidiaDevices};
pub use error::{Attribute, CollectError, OsError};
pub use event_log::{ACPI_TABLES, EventLogFile, EventLogSource, LogError};
pub use sev_guest::{SEV_GUEST, SevGuest};

use attest_core::{CpuEvidence, ReportData, TeeType};

/// Produces hardware evidence over 64 bytes of report data.
///
/// Calls block (a quote takes milliseconds to seconds, and the hardware serves one at a time):
/// asynchronous callers run them on a blocking thread, behind a bounded queue.
pub trait Attester: Send + Sync {
    /// Which kind of evidence [`attest`](Self::attest) returns.
    fn tee_type(&self) -> TeeType;

    /// Has the hardware sign `report_data` together with the measurements of this guest.
    fn attest(&self, report_data: &ReportData) -> Result<CpuEvidence, CollectError>;
}
