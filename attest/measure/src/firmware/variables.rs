//! The UEFI variables in the configuration volume of an image: volume header,
//! store header, authenticated variables of 60 bytes before name and value (EDK II,
//! `MdeModulePkg/Include/Guid/VariableFormat.h`).

use super::FirmwareError;
use crate::bytes::{array, slice, to_usize, u16_at, u32_at};
use crate::guid::Guid;

const STRUCTURE: &str = "variable store";
const AUTHENTICATED: Guid = Guid::new(0xaaf3_2c78, 0x947b, 0x439a, 0xa180_2e14_4ec3_7792);
const VOLUME_HEADER_LEN_AT: usize = 48;
const STORE_HEADER_LEN: usize = 28;
const VARIABLE_HEADER_LEN: usize = 60;
const START: u16 = 0x55AA;
/// The state of a valid variable.
const ADDED: u8 = 0x3F;

/// The valid variables, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableStore<'a> {
    variables: Vec<(Guid, Vec<u8>, &'a [u8])>,
}

impl<'a> VariableStore<'a> {
    /// Reads a configuration volume.
    pub fn parse(volume: &'a [u8]) -> Result<Self, FirmwareError> {
        let bad = |field| FirmwareError::Structure {
            structure: STRUCTURE,
            field,
        };
        if slice(volume, 40, 4) != Some(b"_FVH") {
            return Err(bad("volume signature"));
        }
        let header_len = u16_at(volume, VOLUME_HEADER_LEN_AT).ok_or(bad("volume header"))?;
        let store = volume
            .get(usize::from(header_len)..)
            .ok_or(bad("volume header"))?;
        if array(store, 0).map(Guid::from_bytes) != Some(AUTHENTICATED) {
            return Err(bad("format"));
        }
        let len = u32_at(store, 16).map(to_usize).ok_or(bad("length"))?;
        let store = slice(store, 0, len).ok_or(bad("length"))?;
        let mut variables = Vec::new();
        let mut offset = STORE_HEADER_LEN;
        while u16_at(store, offset) == Some(START) {
            let (state, variable, end) = read_variable(store, offset).ok_or(bad("variable"))?;
            if state == ADDED {
                variables.push(variable);
            }
            offset = end.next_multiple_of(4);
        }
        Ok(Self { variables })
    }

    /// The value of a variable.
    pub fn get(&self, vendor: &Guid, name: &str) -> Option<&'a [u8]> {
        let name = utf16(name);
        let mut found = self.variables.iter();
        found
            .find(|(guid, this, _)| guid == vendor && this.strip_suffix(&[0, 0]) == Some(&name))
            .map(|(_, _, value)| *value)
    }
}

type Variable<'a> = (Guid, Vec<u8>, &'a [u8]);

fn read_variable(store: &[u8], offset: usize) -> Option<(u8, Variable<'_>, usize)> {
    let header = slice(store, offset, VARIABLE_HEADER_LEN)?;
    let state = *header.get(2)?;
    let name_len = to_usize(u32_at(header, 36)?);
    let value_len = to_usize(u32_at(header, 40)?);
    let vendor = Guid::from_bytes(array(header, 44)?);
    let name_at = offset.checked_add(VARIABLE_HEADER_LEN)?;
    let name = slice(store, name_at, name_len)?.to_vec();
    let value_at = name_at.checked_add(name_len)?;
    let value = slice(store, value_at, value_len)?;
    Some((state, (vendor, name, value), value_at + value_len))
}

/// UTF-16LE without an end mark.
pub(crate) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
