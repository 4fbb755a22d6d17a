//! The part of a quote that describes the TD: what the TDX module measured and was given at creation.
//!
//! Layouts: Intel TDX DCAP Quoting Library API, A.3.2 (TD report of TDX 1.0) and A.4 (of TDX 1.5,
//! the same followed by the current TCB and the service TDs' measurement).

use super::quote::QuoteFormatError;
use crate::reader::Reader;

/// A TD's description of itself. Facts, verified only where a verdict says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdBody {
    /// SVNs the TDX module was loaded with.
    pub tee_tcb_svn: [u8; 16],
    /// Measurement of the TDX module.
    pub mrseam: [u8; 48],
    /// Signer of the TDX module.
    pub mrsignerseam: [u8; 48],
    /// Attributes of the TDX module.
    pub seam_attributes: [u8; 8],
    /// Attributes of the TD.
    pub td_attributes: [u8; 8],
    /// Extended features the TD may use.
    pub xfam: [u8; 8],
    /// Measurement of the TD's initial contents.
    pub mrtd: [u8; 48],
    /// Configuration id given at creation.
    pub mrconfigid: [u8; 48],
    /// Owner id given at creation.
    pub mrowner: [u8; 48],
    /// Owner's configuration id given at creation.
    pub mrownerconfig: [u8; 48],
    /// Runtime measurements 0 to 3.
    pub rtmr: [[u8; 48]; 4],
    /// The caller's 64 bytes.
    pub report_data: [u8; 64],
    /// TDX 1.5 only.
    pub td15: Option<Td15>,
}

/// What TDX 1.5 adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Td15 {
    /// SVNs of the TDX module now running, after TD-preserving updates.
    pub tee_tcb_svn2: [u8; 16],
    /// Measurement of the service TDs bound to this one; zero if there are none.
    pub mrservicetd: [u8; 48],
}

const TUD_BYTE: u64 = 0xff;
const DEBUG_AND_PROFILING: u64 = 0x71;
const SERVTD_EXT: u64 = 1 << 17;
const SEPT_VE_DISABLE: u64 = 1 << 28;
const MIGRATABLE: u64 = 1 << 29;

/// Bits that a verifier must refuse: Intel TDX Module ABI Specification 348551-008US, table 3.23.
const RESERVED: u64 = 0b1110 | (0x1ff << 7) | (0xf << 23) | (0x3fff_ffff << 32);

impl TdBody {
    pub(super) const TD10_LEN: u32 = 584;
    pub(super) const TD15_LEN: u32 = 648;

    pub(super) fn read_td10(reader: &mut Reader<'_>) -> Result<Self, QuoteFormatError> {
        const AT: &str = "the TD report";
        Ok(Self {
            tee_tcb_svn: *reader.array(AT)?,
            mrseam: *reader.array(AT)?,
            mrsignerseam: *reader.array(AT)?,
            seam_attributes: *reader.array(AT)?,
            td_attributes: *reader.array(AT)?,
            xfam: *reader.array(AT)?,
            mrtd: *reader.array(AT)?,
            mrconfigid: *reader.array(AT)?,
            mrowner: *reader.array(AT)?,
            mrownerconfig: *reader.array(AT)?,
            rtmr: [
                *reader.array(AT)?,
                *reader.array(AT)?,
                *reader.array(AT)?,
                *reader.array(AT)?,
            ],
            report_data: *reader.array(AT)?,
            td15: None,
        })
    }

    pub(super) fn read_td15(reader: &mut Reader<'_>) -> Result<Self, QuoteFormatError> {
        const AT: &str = "the TD 1.5 report";
        let mut body = Self::read_td10(reader)?;
        body.td15 = Some(Td15 {
            tee_tcb_svn2: *reader.array(AT)?,
            mrservicetd: *reader.array(AT)?,
        });
        Ok(body)
    }

    /// The debug and profiling flags, zero for a TD that cannot be debugged.
    pub fn debug_flags(&self) -> u8 {
        (self.attributes() & TUD_BYTE & DEBUG_AND_PROFILING) as u8
    }

    /// Whether attribute SEPT_VE_DISABLE is on.
    pub fn sept_ve_disable(&self) -> bool {
        self.attributes() & SEPT_VE_DISABLE != 0
    }

    /// Whether the TD may be migrated.
    pub fn migratable(&self) -> bool {
        self.attributes() & MIGRATABLE != 0
    }

    /// The attribute bits that must be zero and are not.
    pub fn reserved_attributes(&self) -> u64 {
        self.attributes() & RESERVED
    }

    /// Whether a service TD is or may be bound.
    pub fn service_td(&self) -> bool {
        self.servtd_ext()
            || self
                .td15
                .as_ref()
                .is_some_and(|td15| td15.mrservicetd != [0; 48])
    }

    pub(super) fn servtd_ext(&self) -> bool {
        self.attributes() & SERVTD_EXT != 0
    }

    fn attributes(&self) -> u64 {
        u64::from_le_bytes(self.td_attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_bit_is_reserved_or_has_a_meaning() {
        let with_meaning: u64 = [
            0, 4, 5, 6, 16, 17, 18, 19, 20, 21, 22, 27, 28, 29, 30, 31, 62, 63,
        ]
        .iter()
        .map(|bit| 1u64 << bit)
        .sum();
        assert_eq!(RESERVED, !with_meaning);
    }
}
