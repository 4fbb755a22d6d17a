//! OVMF images: the table of GUIDed structures at their end, and what it points to.
//!
//! The image ends with a 32-byte reset vector. The table's footer is before it, and entries follow
//! backwards from there: data, length of the entry (`u16`, including the 18 bytes of length and GUID),
//! GUID (EDK II, `OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm`).

mod sev;
mod tdvf;
mod variables;

pub use sev::{SevMetadata, SevSection, SevSectionKind};
pub use tdvf::{SectionKind, Tdvf, TdvfSection};
pub use variables::VariableStore;
pub(crate) use variables::utf16;

use crate::bytes::{array, slice, u16_at, u32_at};
use crate::guid::Guid;

/// The largest image that is read.
pub const MAX_FIRMWARE_LEN: usize = 64 << 20;

pub(crate) const PAGE: usize = 0x1000;
const RESET_VECTOR_LEN: usize = 32;
const ENTRY_HEADER_LEN: usize = 18;
const FOUR_GIB: u64 = 1 << 32;

const TABLE_FOOTER: Guid = Guid::new(0x96b5_82de, 0x1fb2, 0x45f7, 0xbaea_a366_c55a_082d);
const TDX_METADATA: Guid = Guid::new(0xe47a_6535, 0x984a, 0x4798, 0x865e_4685_a7bf_8ec2);
const SEV_METADATA: Guid = Guid::new(0xdc88_6566, 0x984a, 0x4798, 0xa75e_5585_a7bf_67cc);
const SEV_HASH_TABLE: Guid = Guid::new(0x7255_371f, 0x3a3b, 0x4b04, 0x927b_1da6_efa8_d454);
const SEV_ES_RESET_BLOCK: Guid = Guid::new(0x00f7_71de, 0x1a7e, 0x4fcb, 0x890e_68c7_7e2f_b44e);

/// Why a file is no firmware that can be measured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FirmwareError {
    /// Empty, longer than [`MAX_FIRMWARE_LEN`], or no whole number of pages.
    #[error("a firmware image has whole pages, at most {MAX_FIRMWARE_LEN} bytes; this one has {0}")]
    Length(usize),
    /// No table of GUIDed structures before the reset vector.
    #[error("no OVMF table before the reset vector: not an OVMF image, or only a part of one")]
    NoTable,
    /// An entry of the table that is shorter than its header or reaches out of the table.
    #[error("the OVMF table has an entry of {len} bytes at {offset}")]
    Entry {
        /// Where the entry ends.
        offset: usize,
        /// The length it states.
        len: usize,
    },
    /// The table has no entry for what was asked.
    #[error("the firmware has no {0}")]
    Missing(&'static str),
    /// A structure that is not inside the image, or not of its form.
    #[error("the firmware's {structure} has a bad {field}")]
    Structure {
        /// Which structure.
        structure: &'static str,
        /// Which field.
        field: &'static str,
    },
    /// A section that cannot be measured as it is described.
    #[error("section {index} of the firmware's {structure} has a bad {field}")]
    Section {
        /// Which structure.
        structure: &'static str,
        /// Which section, from zero.
        index: usize,
        /// Which field.
        field: &'static str,
    },
}

/// An OVMF image and its table.
#[derive(Clone, Debug)]
pub struct Firmware<'a> {
    image: &'a [u8],
    entries: Vec<(Guid, &'a [u8])>,
}

impl<'a> Firmware<'a> {
    /// Reads the table.
    ///
    /// ```
    /// use attest_measure::firmware::{Firmware, FirmwareError};
    /// assert_eq!(Firmware::parse(&[0; 4096]).unwrap_err(), FirmwareError::NoTable);
    /// ```
    pub fn parse(image: &'a [u8]) -> Result<Self, FirmwareError> {
        let whole_pages = !image.is_empty() && image.len().is_multiple_of(PAGE);
        if !whole_pages || image.len() > MAX_FIRMWARE_LEN {
            return Err(FirmwareError::Length(image.len()));
        }
        let end = image.len() - RESET_VECTOR_LEN;
        let (footer, table_len) = entry_header(image, end).ok_or(FirmwareError::NoTable)?;
        if footer != TABLE_FOOTER {
            return Err(FirmwareError::NoTable);
        }
        let start = end
            .checked_sub(table_len)
            .filter(|_| table_len >= ENTRY_HEADER_LEN)
            .ok_or(FirmwareError::NoTable)?;
        let mut entries = Vec::new();
        let mut offset = end - ENTRY_HEADER_LEN;
        while offset > start {
            let (guid, len) = entry_header(image, offset).ok_or(FirmwareError::NoTable)?;
            let bad = FirmwareError::Entry { offset, len };
            let first = offset.checked_sub(len).filter(|first| *first >= start);
            let first = first.filter(|_| len >= ENTRY_HEADER_LEN).ok_or(bad)?;
            entries.push((guid, &image[first..offset - ENTRY_HEADER_LEN]));
            offset = first;
        }
        Ok(Self { image, entries })
    }

    /// The whole image.
    pub const fn image(&self) -> &'a [u8] {
        self.image
    }

    /// The image's address in guest memory: it ends at 4 GiB.
    pub const fn base(&self) -> u64 {
        FOUR_GIB - self.image.len() as u64
    }

    /// The image's metadata for TDX hosts.
    pub fn tdvf(&self) -> Result<Tdvf<'a>, FirmwareError> {
        Tdvf::read(self)
    }

    /// The image's metadata for SNP hosts.
    pub fn sev(&self) -> Result<SevMetadata, FirmwareError> {
        SevMetadata::read(self)
    }

    /// The initial instruction pointer of every processor but the first, in an SNP guest.
    pub fn sev_es_reset_address(&self) -> Result<u32, FirmwareError> {
        self.entry(&SEV_ES_RESET_BLOCK)
            .and_then(|data| u32_at(data, 0))
            .ok_or(FirmwareError::Missing("SEV-ES reset block"))
    }

    /// Where in guest memory QEMU puts the hashes of kernel, initial file system and command line;
    /// nothing if the firmware has no place for them.
    pub fn kernel_hashes_address(&self) -> Option<u32> {
        let data = self.entry(&SEV_HASH_TABLE)?;
        u32_at(data, 0).filter(|address| *address != 0)
    }

    fn entry(&self, guid: &Guid) -> Option<&'a [u8]> {
        let (_, data) = self.entries.iter().find(|(this, _)| this == guid)?;
        Some(data)
    }

    /// The bytes from where a table entry points to: an offset counted back from the image's end.
    fn pointed_to(&self, guid: &Guid, structure: &'static str) -> Result<&'a [u8], FirmwareError> {
        let entry = self.entry(guid).ok_or(FirmwareError::Missing(structure))?;
        let start = u32_at(entry, 0)
            .and_then(|back| self.image.len().checked_sub(crate::bytes::to_usize(back)))
            .filter(|start| *start < self.image.len());
        let bad = FirmwareError::Structure {
            structure,
            field: "offset",
        };
        start.and_then(|start| self.image.get(start..)).ok_or(bad)
    }
}

/// GUID and length of the entry that ends at `end`.
fn entry_header(image: &[u8], end: usize) -> Option<(Guid, usize)> {
    let start = end.checked_sub(ENTRY_HEADER_LEN)?;
    let header = slice(image, start, ENTRY_HEADER_LEN)?;
    let len = usize::from(u16_at(header, 0)?);
    Some((Guid::from_bytes(array(header, 2)?), len))
}
