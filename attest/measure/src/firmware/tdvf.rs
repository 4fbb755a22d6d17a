//! TDVF metadata: where the parts of an image are placed in a TD, and which of them are measured.
//!
//! Descriptor `TDVF`, length, version 1, number of sections (each `u32`); sections of 32 bytes: data
//! offset, data length (`u32`), memory address, memory length (`u64`), type, attributes (`u32`)
//! (Intel, "TDX Virtual Firmware Design Guide" 1.01, §11).

use super::{Firmware, FirmwareError, PAGE, TDX_METADATA};
use crate::bytes::{slice, to_usize, u32_at, u64_at};

const STRUCTURE: &str = "TDX metadata";
const HEADER_LEN: usize = 16;
const SECTION_LEN: usize = 32;
const MAX_SECTIONS: usize = 64;
/// Far more than a firmware has; limits how long a hostile file can be measured.
const MAX_SECTION_MEMORY: u64 = 256 << 20;

const MR_EXTEND: u32 = 1;
const PAGE_AUG: u32 = 2;

/// What a section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// Boot firmware volume: code.
    Code,
    /// Configuration firmware volume: the variables.
    Variables,
    /// Where the host puts its hand-off block.
    HandOff,
    /// Stack, heap and other memory that must be there from the start.
    Temporary,
    /// Another kind, by its number.
    Other(u32),
}

impl SectionKind {
    const fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Code,
            1 => Self::Variables,
            2 => Self::HandOff,
            3 => Self::Temporary,
            other => Self::Other(other),
        }
    }
}

/// One section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TdvfSection<'a> {
    /// The part of the image it begins with. The rest is zero.
    pub data: &'a [u8],
    /// Its address in the TD's memory, at the start of a page.
    pub address: u64,
    /// Its length in memory, in whole pages.
    pub len: u64,
    /// What it is for.
    pub kind: SectionKind,
    /// Whether MRTD covers its contents. MRTD covers its address in any case.
    pub measured: bool,
    /// Whether it is added to the running TD instead, and so not measured at all.
    pub added_later: bool,
}

/// The sections, in the order in which hosts add them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tdvf<'a> {
    sections: Vec<TdvfSection<'a>>,
}

impl<'a> Tdvf<'a> {
    pub(super) fn read(firmware: &Firmware<'a>) -> Result<Self, FirmwareError> {
        let bytes = firmware.pointed_to(&TDX_METADATA, STRUCTURE)?;
        let bad = |field| FirmwareError::Structure {
            structure: STRUCTURE,
            field,
        };
        if slice(bytes, 0, 4) != Some(b"TDVF") {
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
                read_section(firmware.image(), section).map_err(|field| FirmwareError::Section {
                    structure: STRUCTURE,
                    index,
                    field,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { sections })
    }

    /// All of them.
    pub fn sections(&self) -> &[TdvfSection<'a>] {
        &self.sections
    }

    /// The first section of a kind.
    pub fn section(&self, kind: SectionKind) -> Option<&TdvfSection<'a>> {
        self.sections.iter().find(|section| section.kind == kind)
    }
}

fn read_section<'a>(image: &'a [u8], section: &[u8]) -> Result<TdvfSection<'a>, &'static str> {
    let field = |offset| u32_at(section, offset).ok_or("length");
    let wide = |offset| u64_at(section, offset).ok_or("length");
    let (offset, data_len) = (to_usize(field(0)?), to_usize(field(4)?));
    let data = slice(image, offset, data_len).ok_or("data offset or length")?;
    let (address, len) = (wide(8)?, wide(16)?);
    let page = PAGE as u64;
    if !address.is_multiple_of(page) || address.checked_add(len).is_none() {
        return Err("memory address");
    }
    if !len.is_multiple_of(page) || len > MAX_SECTION_MEMORY || len < data.len() as u64 {
        return Err("memory length");
    }
    let attributes = field(28)?;
    if attributes & !(MR_EXTEND | PAGE_AUG) != 0 {
        return Err("attribute");
    }
    Ok(TdvfSection {
        data,
        address,
        len,
        kind: SectionKind::from_code(field(24)?),
        measured: attributes & MR_EXTEND != 0,
        added_later: attributes & PAGE_AUG != 0,
    })
}
