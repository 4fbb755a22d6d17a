//! A unified kernel image: systemd's stub with sections behind its own (UAPI group, "Unified Kernel Image").
//!
//! The stub's bytes stay as Debian built them but for its header: number of sections, length of the image, checksum.
//! There is no `.osrel`: with it the stub would hand the kernel another initial file system than the one in the image.

/// A section to add.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    /// At most eight bytes, such as `.linux`.
    pub name: &'a str,
    pub contents: &'a [u8],
}

/// Why sections cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UkiError {
    #[error("the stub is no PE32+ image, or is cut short")]
    Stub,
    #[error("the stub already has a section {0}")]
    Twice(String),
    #[error("the stub's header has no room for another section")]
    NoRoom,
    #[error("{0:?} is no section name")]
    Name(String),
    #[error("the image would be longer than 4 GiB")]
    TooLarge,
}

const SECTION_HEADER: usize = 40;
/// Initialized data that can be read.
const CHARACTERISTICS: u32 = 0x4000_0040;

/// Offsets in a PE32+ image (Microsoft, "PE Format").
struct Header {
    /// Of `NumberOfSections`.
    count_at: usize,
    count: usize,
    optional_at: usize,
    table_at: usize,
    section_alignment: u32,
    file_alignment: u32,
    header_len: usize,
}

/// The stub with `sections` behind its own, in the order given.
pub fn assemble(stub: &[u8], sections: &[Section<'_>]) -> Result<Vec<u8>, UkiError> {
    let header = Header::parse(stub)?;
    let mut image = stub.to_vec();
    let mut next_address = header.end_in_memory(stub)?;
    for (index, section) in sections.iter().enumerate() {
        let at = header.table_at + SECTION_HEADER * (header.count + index);
        if at + SECTION_HEADER > header.header_len {
            return Err(UkiError::NoRoom);
        }
        if section.name.is_empty() || section.name.len() > 8 || !section.name.is_ascii() {
            return Err(UkiError::Name(section.name.to_owned()));
        }
        let already = header.count + index;
        if (0..already).any(|place| header.name_of(&image, place) == section.name.as_bytes()) {
            return Err(UkiError::Twice(section.name.to_owned()));
        }
        let len = u32::try_from(section.contents.len()).map_err(|_| UkiError::TooLarge)?;
        let address = round_up(next_address, header.section_alignment)?;
        image.resize(round_up_len(image.len(), header.file_alignment), 0);
        let position = u32::try_from(image.len()).map_err(|_| UkiError::TooLarge)?;
        image.extend_from_slice(section.contents);
        image.resize(round_up_len(image.len(), header.file_alignment), 0);

        let mut entry = [0; SECTION_HEADER];
        entry[..section.name.len()].copy_from_slice(section.name.as_bytes());
        put(&mut entry, 8, len);
        put(&mut entry, 12, address);
        put(&mut entry, 16, round_up(len, header.file_alignment)?);
        put(&mut entry, 20, position);
        put(&mut entry, 36, CHARACTERISTICS);
        image[at..at + SECTION_HEADER].copy_from_slice(&entry);
        next_address = address.checked_add(len).ok_or(UkiError::TooLarge)?;
    }
    let count = u16::try_from(header.count + sections.len()).map_err(|_| UkiError::NoRoom)?;
    image[header.count_at..header.count_at + 2].copy_from_slice(&count.to_le_bytes());
    let size_of_image = round_up(next_address, header.section_alignment)?;
    put(&mut image, header.optional_at + 56, size_of_image);
    // The checksum is not checked for applications; zero means that it was not computed.
    put(&mut image, header.optional_at + 64, 0);
    Ok(image)
}

impl Header {
    fn parse(image: &[u8]) -> Result<Self, UkiError> {
        let at = read32(image, 0x3c)? as usize;
        let magic = image.get(at..at + 4).ok_or(UkiError::Stub)?;
        let optional_at = at + 24;
        if magic != b"PE\0\0" || read16(image, optional_at)? != 0x20b {
            return Err(UkiError::Stub);
        }
        let header = Self {
            count_at: at + 6,
            count: usize::from(read16(image, at + 6)?),
            optional_at,
            table_at: optional_at + usize::from(read16(image, at + 20)?),
            section_alignment: read32(image, optional_at + 32)?,
            file_alignment: read32(image, optional_at + 36)?,
            header_len: read32(image, optional_at + 60)? as usize,
        };
        let aligned = [header.section_alignment, header.file_alignment];
        let table_end = header.table_at + SECTION_HEADER * header.count;
        if !aligned.iter().all(|one| one.is_power_of_two())
            || table_end > header.header_len
            || header.header_len > image.len()
        {
            return Err(UkiError::Stub);
        }
        Ok(header)
    }

    fn entry(&self, place: usize) -> usize {
        self.table_at + SECTION_HEADER * place
    }

    fn name_of<'a>(&self, image: &'a [u8], place: usize) -> &'a [u8] {
        let at = self.entry(place);
        let name = &image[at..at + 8];
        let len = name.iter().position(|byte| *byte == 0).unwrap_or(8);
        &name[..len]
    }

    fn end_in_memory(&self, image: &[u8]) -> Result<u32, UkiError> {
        (0..self.count).try_fold(0, |end, place| {
            let len = read32(image, self.entry(place) + 8)?;
            let address = read32(image, self.entry(place) + 12)?;
            Ok(end.max(address.checked_add(len).ok_or(UkiError::Stub)?))
        })
    }
}

fn read16(bytes: &[u8], at: usize) -> Result<u16, UkiError> {
    let field = bytes.get(at..at + 2).ok_or(UkiError::Stub)?;
    Ok(u16::from_le_bytes([field[0], field[1]]))
}

fn read32(bytes: &[u8], at: usize) -> Result<u32, UkiError> {
    let field = bytes.get(at..at + 4).ok_or(UkiError::Stub)?;
    Ok(u32::from_le_bytes([field[0], field[1], field[2], field[3]]))
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn round_up(value: u32, alignment: u32) -> Result<u32, UkiError> {
    value
        .checked_next_multiple_of(alignment)
        .ok_or(UkiError::TooLarge)
}

fn round_up_len(len: usize, alignment: u32) -> usize {
    len.next_multiple_of(alignment as usize)
}
