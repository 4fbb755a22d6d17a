//! A measured UEFI variable: `UEFI_VARIABLE_DATA`, TCG PC Client Platform Firmware Profile 1.05
//! §10.2.6. Vendor GUID, length of the name in UTF-16 units, length of the value, name, value.

use std::ops::Range;

use crate::reader::Reader;

const FIXED_LEN: usize = 32;

/// A variable and the value it had when it was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UefiVariable<'a> {
    /// The name space, as UEFI stores GUIDs: the first three fields little-endian.
    pub vendor_guid: [u8; 16],
    /// The name.
    pub name: String,
    /// The value. Empty also when the variable did not exist.
    pub value: &'a [u8],
}

impl<'a> UefiVariable<'a> {
    /// Parses a payload, all of it. The name must be UTF-16.
    pub(super) fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let vendor_guid = *reader.array("vendor").ok()?;
        let name_units = usize::try_from(reader.u64("name length").ok()?).ok()?;
        let value_len = usize::try_from(reader.u64("value length").ok()?).ok()?;
        let name = reader.bytes("name", name_units.checked_mul(2)?).ok()?;
        let value = reader.bytes("value", value_len).ok()?;
        let (units, _) = name.as_chunks();
        let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
        let name = char::decode_utf16(units).collect::<Result<_, _>>().ok()?;
        reader.rest().is_empty().then_some(Self {
            vendor_guid,
            name,
            value,
        })
    }

    /// Where in a payload the value is.
    pub(super) fn value_range(payload: &[u8]) -> Option<Range<usize>> {
        let variable = UefiVariable::parse(payload)?;
        let start = payload.len().checked_sub(variable.value.len())?;
        (start >= FIXED_LEN).then_some(start..payload.len())
    }
}
