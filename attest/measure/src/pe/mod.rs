//! PE images: headers and section table, as much as measuring and building a UKI needs (Microsoft,
//! "PE Format"). 64-bit images only.
//!
//! Nothing is trusted: every offset is checked against the file's end. A file that a firmware
//! would not load may still be parsed, since nothing is executed here.

mod authenticode;

#[doc(hidden)]
pub use authenticode::authenticode_parts;
pub use authenticode::authenticode_sha384;

use crate::bytes::{array, slice, to_usize, u16_at, u32_at};

/// The largest file that is read.
pub const MAX_PE_LEN: usize = 1 << 30;

const SIGNATURE_LEN: usize = 4;
const FILE_HEADER_LEN: usize = 20;
const PE32_PLUS: u16 = 0x20B;
pub(crate) const SECTION_HEADER_LEN: usize = 40;
/// The limit of Windows' loader; EDK II's is the width of the field.
const MAX_SECTIONS: u16 = 96;
/// Optional header of 64-bit images up to its data directories.
const OPTIONAL_FIXED_LEN: usize = 112;
const CERTIFICATE_DIRECTORY: u32 = 4;

/// Why bytes are no PE image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeError {
    /// Longer than [`MAX_PE_LEN`].
    #[error("a PE image has at most {MAX_PE_LEN} bytes; this one has {0}")]
    TooLong(usize),
    /// No `MZ`, or no `PE` where it points.
    #[error("not a PE image: no {0} signature")]
    Signature(&'static str),
    /// A 32-bit image, or none.
    #[error("not a 64-bit PE image")]
    Magic,
    /// The file ends inside a header.
    #[error("the PE image ends inside its {0}")]
    Truncated(&'static str),
    /// A header with a value that no image has.
    #[error("the PE image has a bad {0}")]
    Header(&'static str),
    /// A section that is not in the file.
    #[error("section {index} of the PE image lies outside the file")]
    Section {
        /// Which, from zero.
        index: usize,
    },
}

/// One entry of the section table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// The name, padded with zeros.
    pub name: [u8; 8],
    /// Length in memory.
    pub virtual_len: u32,
    /// Where it is in memory, counted from the image's base.
    pub virtual_address: u32,
    /// Length in the file.
    pub raw_len: u32,
    /// Where it is in the file.
    pub raw_offset: u32,
    /// Flags.
    pub characteristics: u32,
}

impl Section {
    /// The name without its padding; nothing if it is not ASCII.
    pub fn name(&self) -> Option<&str> {
        let len = self.name.iter().position(|byte| *byte == 0).unwrap_or(8);
        let name = std::str::from_utf8(self.name.get(..len)?).ok()?;
        name.is_ascii().then_some(name)
    }
}

/// The headers of an image, and the image.
#[derive(Clone, Debug)]
pub struct Pe<'a> {
    file: &'a [u8],
    optional_header: usize,
    headers_len: usize,
    /// Offset of the certificate table's directory entry, if the image has one.
    certificate_entry: Option<usize>,
    section_table: usize,
    sections: Vec<Section>,
}

impl<'a> Pe<'a> {
    /// Reads the headers.
    ///
    /// ```
    /// use attest_measure::pe::{Pe, PeError};
    /// assert_eq!(Pe::parse(b"#!/bin/sh").unwrap_err(), PeError::Signature("MZ"));
    /// ```
    pub fn parse(file: &'a [u8]) -> Result<Self, PeError> {
        if file.len() > MAX_PE_LEN {
            return Err(PeError::TooLong(file.len()));
        }
        if !file.starts_with(b"MZ") {
            return Err(PeError::Signature("MZ"));
        }
        let start = u32_at(file, 0x3C).map(to_usize);
        let start = start.ok_or(PeError::Truncated("DOS header"))?;
        if slice(file, start, SIGNATURE_LEN) != Some(b"PE\0\0") {
            return Err(PeError::Signature("PE"));
        }
        let file_header = start + SIGNATURE_LEN;
        let cut = PeError::Truncated("file header");
        let section_count = u16_at(file, file_header + 2).ok_or(cut.clone())?;
        let optional_len = usize::from(u16_at(file, file_header + 16).ok_or(cut)?);
        if section_count > MAX_SECTIONS {
            return Err(PeError::Header("number of sections"));
        }
        let optional_header = file_header + FILE_HEADER_LEN;
        let cut = PeError::Truncated("optional header");
        let optional = slice(file, optional_header, optional_len).ok_or(cut.clone())?;
        if u16_at(optional, 0) != Some(PE32_PLUS) {
            return Err(PeError::Magic);
        }
        let headers_len = to_usize(u32_at(optional, 60).ok_or(cut.clone())?);
        let directories = u32_at(optional, 108).ok_or(cut)?;
        let section_table = optional_header + optional_len;
        let sections = read_sections(file, section_table, section_count)?;
        let table_end = section_table + usize::from(section_count) * SECTION_HEADER_LEN;
        if headers_len < table_end || headers_len > file.len() {
            return Err(PeError::Header("length of headers"));
        }
        let certificate_entry = (directories > CERTIFICATE_DIRECTORY)
            .then_some(optional_header + OPTIONAL_FIXED_LEN + 8 * to_usize(CERTIFICATE_DIRECTORY));
        if certificate_entry.is_some_and(|entry| entry + 8 > section_table) {
            return Err(PeError::Header("number of directories"));
        }
        Ok(Self {
            file,
            optional_header,
            headers_len,
            certificate_entry,
            section_table,
            sections,
        })
    }

    /// The section table, in its order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// A section's contents in the file.
    pub fn raw(&self, section: &Section) -> &'a [u8] {
        let len = to_usize(section.raw_len);
        slice(self.file, to_usize(section.raw_offset), len).unwrap_or_default()
    }

    /// Offset in the file of the section table, whose entries have 40 bytes.
    pub const fn section_table_offset(&self) -> usize {
        self.section_table
    }

    /// How many more sections the headers have room for, if nothing else is stored there.
    pub fn room_for_sections(&self) -> usize {
        let used = self.section_table + self.sections.len() * SECTION_HEADER_LEN;
        self.headers_len.saturating_sub(used) / SECTION_HEADER_LEN
    }

    /// The alignment of sections in memory and in the file.
    pub fn alignments(&self) -> (u32, u32) {
        let field = |offset| u32_at(self.file, self.optional_header + offset).unwrap_or_default();
        (field(32), field(36))
    }
}

fn read_sections(file: &[u8], table: usize, count: u16) -> Result<Vec<Section>, PeError> {
    (0..usize::from(count))
        .map(|index| {
            let cut = PeError::Truncated("section table");
            let header = slice(file, table + index * SECTION_HEADER_LEN, SECTION_HEADER_LEN);
            let header = header.ok_or(cut.clone())?;
            let field = |offset| u32_at(header, offset).ok_or(cut.clone());
            let section = Section {
                name: array(header, 0).ok_or(cut.clone())?,
                virtual_len: field(8)?,
                virtual_address: field(12)?,
                raw_len: field(16)?,
                raw_offset: field(20)?,
                characteristics: field(36)?,
            };
            let (offset, len) = (to_usize(section.raw_offset), to_usize(section.raw_len));
            match slice(file, offset, len) {
                Some(_) => Ok(section),
                None if len == 0 => Ok(section),
                None => Err(PeError::Section { index }),
            }
        })
        .collect()
}
