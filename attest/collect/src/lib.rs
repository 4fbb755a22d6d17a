//! Asks the guest's own firmware for evidence about itself.
//!
//! One trait, [`Attester`], stands for "whatever this machine has that signs 64 bytes of report
//! data": on Linux that is configfs-tsm, read by [`ConfigfsTsm`], or on older kernels the device
//! behind [`SevGuest`]. A second, [`DeviceAttester`], stands for the devices beside the CPU:
//! [`NvidiaDevices`]; a third, [`EventLogSource`], for what was measured while the guest came up:
//! [`EventLogFile`]. What comes back is evidence as the hardware gave it. Nothing here looks inside it: whether it is genuine and whether it is
//! wanted is decided by `attest_core`, by whoever receives it, never by the machine that produced it.

mod configfs;
mod devices;
mod error;
mod event_log;
mod sev_guest;

pub use configfs::{ConfigfsTsm, DEFAULT_BASE};
pub use devices::{DeviceAttester, DeviceError, NvidiaDevices, Question};
pub use error::{Attribute, CollectError, OsError};
pub use event_log::{ACPI_TABLES, EventLogFile, EventLogSource, LogError};
pub use sev_guest::{SEV_GUEST, SevGuest};

use attest_core::{CpuEvidence, ReportData, TeeType};

/// Something that produces hardware evidence over 64 bytes of report data.
///
/// Calls block (a quote takes milliseconds to seconds, and the hardware serves one at a time):
/// asynchronous callers run them on a blocking thread, behind a bounded queue.
pub trait Attester: Send + Sync {
    /// Which kind of evidence [`attest`](Self::attest) returns.
    fn tee_type(&self) -> TeeType;

    /// Has the hardware sign `report_data` together with the measurements of this guest.
    fn attest(&self, report_data: &ReportData) -> Result<CpuEvidence, CollectError>;
}
