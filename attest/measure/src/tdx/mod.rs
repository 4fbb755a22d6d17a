//! What a TD will measure: MRTD, and the events of RTMR0 to RTMR2 one by one.
//!
//! | register | events, in order | follow from |
//! |---|---|---|
//! | MRTD | pages of the firmware ([`mrtd`]) | firmware; how the host adds pages |
//! | RTMR0 | hand-off block, variables, Secure Boot, ACPI tables, boot options ([`rtmr0`]) | firmware; the machine's shape |
//! | RTMR1 | the image, the kernel inside it, leaving the firmware ([`rtmr1`]) | image |
//! | RTMR2 | the image's sections, command line, initial file system ([`rtmr2`]) | image |
//!
//! For a UKI that is QEMU's `-kernel`, without `-initrd` and `-append`, on OVMF. The events are those of
//! the same boot with a TPM, mapped PCR 1 and 7 → RTMR0, 2 to 6 → RTMR1, 8 to 15 → RTMR2 (UEFI 2.10
//! §38.4.1), but one: a TPM gets a separator in each of PCR 0 to 6, a TD one in RTMR1.
//!
//! MRTD and RTMR0 have not been confirmed on hardware. The crate's README lists what has been.

mod handoff;
mod mrtd;
mod rtmr0;
mod rtmr1;
mod rtmr2;

pub use handoff::{MemoryMap, handoff_block};
pub use mrtd::{PageOrder, mrtd};
pub use rtmr0::{BootVariables, Machine, SecureBoot, rtmr0};
pub use rtmr1::rtmr1;
pub use rtmr2::rtmr2;

use crate::ExpectedEvent;
use crate::firmware::{FirmwareError, Tdvf};
use crate::uki::{Uki, UkiError};

/// Why a launch cannot be predicted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TdxError {
    /// The firmware.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// The image.
    #[error(transparent)]
    Uki(#[from] UkiError),
    /// Less memory than the firmware's sections need, or more than a TD can have.
    #[error("a TD with this firmware cannot have {0} bytes of memory")]
    Memory(u64),
}

/// All events of RTMR0, RTMR1 and RTMR2, register by register.
pub fn events(
    tdvf: &Tdvf<'_>,
    uki: &Uki<'_>,
    machine: &Machine,
) -> Result<Vec<ExpectedEvent>, TdxError> {
    let mut events = rtmr0(tdvf, machine)?;
    events.extend(rtmr1(uki)?);
    events.extend(rtmr2(uki)?);
    Ok(events)
}
