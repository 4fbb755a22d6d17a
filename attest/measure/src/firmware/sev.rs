//! SEV metadata: pages that an SNP host prepares besides the image itself.
//!
//! Descriptor `ASEV`, length, version 1, number of sections (each `u32`); sections of 12 bytes:
//! address, length, type (`u32`) (EDK II, `OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm`).

use super::{Firmware, FirmwareError, PAGE, SEV_METADATA};
use crate::bytes::{slice, to_usize, u32_at};

const STRUCTURE: &str = "SEV metadata";
const HEADER_LEN: usize = 16;
const SECTION_LEN: usize = 12;
const MAX_SECTIONS: usize = 64;
const MAX_SECTION_MEMORY: u32 = 256 << 20;

/// What is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SevSectionKind {
    /// Zeroed memory.
    Memory,
    /// The secrets page.
    Secrets,
    /// The CPUID page.
    Cpuid,
    /// The calling area of a secure VM service module, zero without one.
    CallingArea,
    /// The hashes of kernel, initial file system and command line.
    KernelHashes,
}

/// One section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SevSection {
    /// Guest physical address.
    pub address: u32,
    /// Length in bytes, whole pages.
    pub len: u32,
    /// What it is for.
    pub kind: SevSectionKind,
}

/// The sections, in the order in which hosts add them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SevMetadata {
    sections: Vec<SevSection>,
}

impl SevMetadata {
    pub(super) fn read(firmware: &Firmware<'_>) -> Result<Self, FirmwareError> {
        let bytes = firmware.pointed_to(&SEV_METADATA, STRUCTURE)?;
        let bad = |field| FirmwareError::Structure {
            structure: STRUCTURE,
            field,
        };
        if slice(bytes, 0, 4) != Some(b"ASEV") {
            return Err(bad("signature"));
        }
        if u32_at(bytes, 8) != Some(1) {
            return Err(bad("version"));
        }
        let count = u32_at(bytes, 12).map(to_usize);
        let count = count.filter(|count| (1..=MAX_SECTIONS).contains(count));
        let sections = (0..count.ok_or(bad("number of sections"))?)
            .map(|index| {
                let section = slice(bytes, HEADER_LEN + index * SECTION_LEN, SECTION_LEN)
                    .ok_or(bad("number of sections"))?;
                read_section(section).map_err(|field| FirmwareError::Section {
                    structure: STRUCTURE,
                    index,
                    field,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { sections })
    }

    /// All of them.
    pub fn sections(&self) -> &[SevSection] {
        &self.sections
    }

    /// Whether the firmware has a page for hashes of what is booted, without which the launch digest does not
    /// cover kernel and command line.
    pub(crate) fn takes_kernel_hashes(&self) -> bool {
        let mut kinds = self.sections.iter().map(|section| section.kind);
        kinds.any(|kind| kind == SevSectionKind::KernelHashes)
    }
}

fn read_section(section: &[u8]) -> Result<SevSection, &'static str> {
    let field = |offset| u32_at(section, offset).ok_or("length");
    let (address, len) = (field(0)?, field(4)?);
    if !to_usize(address).is_multiple_of(PAGE) || address.checked_add(len).is_none() {
        return Err("address");
    }
    if !to_usize(len).is_multiple_of(PAGE) || len > MAX_SECTION_MEMORY {
        return Err("length");
    }
    let kind = match field(8)? {
        1 => SevSectionKind::Memory,
        2 => SevSectionKind::Secrets,
        3 => SevSectionKind::Cpuid,
        4 => SevSectionKind::CallingArea,
        0x10 => SevSectionKind::KernelHashes,
        _ => return Err("type"),
    };
    let one_page = matches!(
        kind,
        SevSectionKind::Secrets | SevSectionKind::Cpuid | SevSectionKind::KernelHashes
    );
    if one_page && to_usize(len) != PAGE {
        return Err("length");
    }
    Ok(SevSection { address, len, kind })
}
