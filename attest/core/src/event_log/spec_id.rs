//! The header of a crypto-agile log: a `TCG_PCR_EVENT` in the old SHA-1 form that holds a
//! `TCG_EfiSpecIdEvent` (TCG PC Client Platform Firmware Profile 1.05, "Specification ID Version
//! Event"). It says which digests every later event has, and how long each is.

use super::error::CcelError;
use super::event_type::EventType;
use crate::reader::{EndsInside, Reader, to_usize};

const SHA1: u16 = 0x4;
const SHA256: u16 = 0xb;
pub(super) const SHA384: u16 = 0xc;
const SHA512: u16 = 0xd;
const SM3_256: u16 = 0x12;

const SIGNATURE: &[u8; 16] = b"Spec ID Event03\0";
const MAX_ALGORITHMS: u32 = 8;

/// The digests of every event, in the header's order.
pub(super) struct Algorithms(Vec<(u16, usize)>);

impl Algorithms {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn size(&self, algorithm: u16) -> Option<usize> {
        let found = self.0.iter().find(|(listed, _)| *listed == algorithm)?;
        Some(found.1)
    }

    /// Reads the header off the front of a log.
    pub(super) fn read(log: &mut Reader<'_>) -> Result<Self, CcelError> {
        log.u32("register")?;
        if EventType::from_code(log.u32("type")?) != EventType::NO_ACTION {
            return Err(CcelError::NotSpecId { field: "type" });
        }
        if *log.array::<20>("digest")? != [0; 20] {
            return Err(CcelError::NotSpecId { field: "digest" });
        }
        let len = log.u32("length")?;
        let mut event = Reader::new(log.bytes("event", to_usize(len))?);
        if event.array("signature")? != SIGNATURE {
            return Err(CcelError::NotSpecId { field: "signature" });
        }
        event.bytes("platform class and version", 8)?;
        let algorithms = Self::read_list(&mut event)?;
        let vendor_len = event.u8("vendor information")?;
        event.bytes("vendor information", vendor_len.into())?;
        if !event.rest().is_empty() {
            return Err(CcelError::NotSpecId { field: "length" });
        }
        Ok(algorithms)
    }

    fn read_list(event: &mut Reader<'_>) -> Result<Self, CcelError> {
        let count = event.u32("algorithms")?;
        if count > MAX_ALGORITHMS {
            return Err(CcelError::TooManyAlgorithms(count));
        }
        let mut algorithms = Self(Vec::new());
        for _ in 0..count {
            let algorithm = event.u16("algorithms")?;
            let size = usize::from(event.u16("algorithms")?);
            let right_size = match algorithm {
                SHA1 => size == 20,
                SHA256 | SM3_256 => size == 32,
                SHA384 => size == 48,
                SHA512 => size == 64,
                _ => size > 0,
            };
            if !right_size || algorithms.size(algorithm).is_some() {
                return Err(CcelError::Algorithm { algorithm });
            }
            algorithms.0.push((algorithm, size));
        }
        algorithms.size(SHA384).ok_or(CcelError::NoSha384)?;
        Ok(algorithms)
    }
}

impl From<EndsInside> for CcelError {
    /// Of the header. Events say which they are.
    fn from(EndsInside { field, .. }: EndsInside) -> Self {
        Self::HeaderTruncated { field }
    }
}
