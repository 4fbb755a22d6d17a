//! The launch digest of an SEV-SNP guest: the `MEASUREMENT` that its reports will have.
//!
//! The host adds the firmware's pages, then the pages that its metadata requests, then the initial
//! state of each processor; each page extends the digest by a `PAGE_INFO` structure (AMD publication
//! 56860, "SEV-SNP Firmware ABI", §8.17.2, tables 67 and following). The order is QEMU's.
//!
//! The digest covers kernel, initial file system and command line only by their hashes, which QEMU puts into
//! a page that only some builds of OVMF have (`-machine …,kernel-hashes=on`). A launch without them is
//! not supported here: its digest would not cover what is booted.

mod digest;
mod hashes;
mod processor;
mod vmsa;

pub use hashes::KernelHashes;
pub use processor::Processor;
#[doc(hidden)]
pub use vmsa::vmsa_page;

use crate::firmware::{Firmware, FirmwareError, SevSectionKind};
use crate::hash::Sha384;
use digest::{Digest, PageKind};

/// The most processors that a guest is measured with.
pub const MAX_PROCESSORS: u32 = 1024;
/// The first processor starts at the reset vector.
const FIRST_PROCESSOR: u32 = 0xFFFF_FFF0;

/// The machine's part of the digest, which must be the same at launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// How many virtual processors.
    pub processors: u32,
    /// Which they are.
    pub processor: Processor,
    /// `SEV_FEATURES` of the guest's save area, as QEMU and the host's kernel set them.
    pub guest_features: u64,
}

/// Why there is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnpError {
    /// The firmware cannot be measured for SNP.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// None, or more than [`MAX_PROCESSORS`].
    #[error("a guest has 1 to {MAX_PROCESSORS} processors, not {0}")]
    Processors(u32),
    /// The bit that makes a guest an SNP guest is not set.
    #[error("guest features {0:#x} lack bit 0, SNP itself")]
    NotSnp(u64),
    /// The firmware has no page for the hashes of what is booted.
    #[error(
        "the firmware has no page for kernel hashes, so its launch digest does not cover the image: use an OVMF build for AMD SEV"
    )]
    NoKernelHashes,
    /// The firmware's place for the hashes is not in the page that it sets aside.
    #[error("the firmware's place for kernel hashes is not in its page for them")]
    HashesOutsidePage,
}

/// The launch digest of a guest that boots `booted` with this firmware on this machine.
pub fn launch_digest(
    firmware: &Firmware<'_>,
    booted: &KernelHashes,
    machine: &Machine,
) -> Result<Sha384, SnpError> {
    if !(1..=MAX_PROCESSORS).contains(&machine.processors) {
        return Err(SnpError::Processors(machine.processors));
    }
    if machine.guest_features & 1 == 0 {
        return Err(SnpError::NotSnp(machine.guest_features));
    }
    let metadata = firmware.sev()?;
    let hashes_at = firmware.kernel_hashes_address();
    let hashes_at = hashes_at.filter(|_| metadata.takes_kernel_hashes());
    let hashes_at = hashes_at.ok_or(SnpError::NoKernelHashes)?;
    let mut digest = Digest::new();
    digest.pages(PageKind::Normal, firmware.base(), firmware.image());
    for section in metadata.sections() {
        let (address, len) = (u64::from(section.address), section.len);
        match section.kind {
            SevSectionKind::Memory | SevSectionKind::CallingArea => {
                digest.unmeasured(PageKind::Zero, address, len);
            }
            SevSectionKind::Secrets => digest.unmeasured(PageKind::Secrets, address, len),
            SevSectionKind::Cpuid => digest.unmeasured(PageKind::Cpuid, address, len),
            SevSectionKind::KernelHashes => {
                let offset = hashes_at.checked_sub(section.address);
                let page = offset.and_then(|offset| booted.page(offset));
                let page = page.ok_or(SnpError::HashesOutsidePage)?;
                digest.pages(PageKind::Normal, address, &page);
            }
        }
    }
    let reset = firmware.sev_es_reset_address()?;
    for index in 0..machine.processors {
        let start = if index == 0 { FIRST_PROCESSOR } else { reset };
        digest.processor(&vmsa_page(start, machine));
    }
    Ok(digest.finish())
}
