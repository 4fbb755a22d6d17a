//! A measurement request and the device's signed answer, as NVIDIA's driver hands them out: SPDM 1.1
//! (DMTF DSP0274) `GET_MEASUREMENTS` followed by `MEASUREMENTS`.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | request header `11 E0 01 FF`: version 1.1, GET_MEASUREMENTS, signed, all blocks |
//! | 4 | 32 | the requester's nonce |
//! | 36 | 1 | certificate slot |
//! | 37 | 4 | response header, `11 60` and two parameters |
//! | 41 | 1 | number of blocks |
//! | 42 | 3 | length of the record, little-endian |
//! | 45 | … | the record: blocks of index (1), specification (1), size (2), then DMTF type (1), value size (2), value |
//! | … | 32 | the responder's own nonce |
//! | … | 2 | length of the opaque data |
//! | … | … | opaque data: fields of type (2), length (2), value |
//! | … | 96 | ECDSA P-384 signature, r then s, big-endian, over everything before it |
//!
//! The nonce that shows freshness is the one in the *request*: the signature covers it.

use super::{Opaque, OpaqueField};
use crate::reader::{EndsInside, Reader, to_usize};

const REQUEST_HEADER: [u8; 4] = [0x11, 0xE0, 0x01, 0xFF];
const RESPONSE_CODE: [u8; 2] = [0x11, 0x60];
const DMTF: u8 = 0x01;
const VALUE_LEN: usize = 48;
/// ECDSA P-384, r then s.
pub(super) const SIGNATURE_LEN: usize = 96;
/// The most one device's evidence may weigh; real ones are near 4 KiB.
pub(super) const MAX_LEN: usize = 64 << 10;

/// Why bytes are not a device's evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpdmFormatError {
    /// More than any device sends.
    #[error("the device evidence is too long")]
    TooLong,
    /// Ends early.
    #[error("the device evidence ends within its {0}")]
    Truncated(&'static str),
    /// Not a signed request for all measurements in SPDM 1.1.
    #[error("not an SPDM 1.1 request for all measurements, signed")]
    Request,
    /// The answer is not MEASUREMENTS.
    #[error("not an SPDM 1.1 measurements response")]
    Response,
    /// A block that is not a SHA-384 sized DMTF measurement, or out of place.
    #[error("measurement block {0} cannot be read")]
    Block(usize),
    /// The opaque data cannot be read to its end, or has a field twice.
    #[error("the opaque data cannot be read")]
    Opaque,
    /// Bytes after the signature.
    #[error("{0} bytes follow the signature")]
    TrailingBytes(usize),
}

impl From<EndsInside> for SpdmFormatError {
    fn from(EndsInside { field, .. }: EndsInside) -> Self {
        Self::Truncated(field)
    }
}

/// What kind of chip made the evidence: its certificate and its number of blocks say so together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// H100, H200, GH200.
    Hopper,
    /// B100, B200, GB200.
    Blackwell,
    /// The third-generation NVSwitch.
    Ls10,
}

impl Architecture {
    /// `HOPPER`, `BLACKWELL` or `LS10`, as NVIDIA's tools write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hopper => "HOPPER",
            Self::Blackwell => "BLACKWELL",
            Self::Ls10 => "LS10",
        }
    }

    /// A switch rather than a GPU.
    pub const fn is_switch(self) -> bool {
        matches!(self, Self::Ls10)
    }
}

/// One measurement: where it stands and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// 1 for the first block.
    pub index: u8,
    /// SHA-384 sized.
    pub value: [u8; VALUE_LEN],
}

/// Evidence, parsed, proving nothing yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpdmEvidence {
    request_nonce: [u8; 32],
    response_nonce: [u8; 32],
    measurements: Vec<Measurement>,
    opaque: Opaque,
    signed: Vec<u8>,
    signature: [u8; SIGNATURE_LEN],
    trailing: Trailing,
}

/// What follows the signature in the buffer that the evidence came in. Nothing signs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailing {
    /// How many bytes.
    pub count: usize,
    /// Whether each of them is zero.
    pub all_zero: bool,
}

impl SpdmEvidence {
    /// Parses exactly one request with its answer.
    pub fn parse(bytes: &[u8]) -> Result<Self, SpdmFormatError> {
        let evidence = Self::parse_prefix(bytes)?;
        match evidence.trailing.count {
            0 => Ok(evidence),
            count => Err(SpdmFormatError::TrailingBytes(count)),
        }
    }

    /// The same of the beginning of a buffer; what follows is described by [`Self::trailing`], and
    /// whether it is tolerated is the policy's to say.
    pub fn parse_prefix(bytes: &[u8]) -> Result<Self, SpdmFormatError> {
        if bytes.len() > MAX_LEN {
            return Err(SpdmFormatError::TooLong);
        }
        let mut reader = Reader::new(bytes);
        if *reader.array("request")? != REQUEST_HEADER {
            return Err(SpdmFormatError::Request);
        }
        let request_nonce = *reader.array("request")?;
        let _slot = reader.u8("request")?;
        let [version, code, _, _] = *reader.array("response header")?;
        if [version, code] != RESPONSE_CODE {
            return Err(SpdmFormatError::Response);
        }
        let blocks = reader.u8("response header")?;
        let record_len = to_usize(reader.u24("response header")?);
        let record = reader.bytes("measurement record", record_len)?;
        let response_nonce = *reader.array("response nonce")?;
        let opaque_len = usize::from(reader.u16("opaque data")?);
        let opaque = reader.bytes("opaque data", opaque_len)?;
        let signed_len = bytes.len() - reader.rest().len();
        let signed = bytes.get(..signed_len).unwrap_or_default().to_vec();
        let signature = *reader.array("signature")?;
        let rest = reader.rest();
        Ok(Self {
            request_nonce,
            response_nonce,
            measurements: measurements(record, usize::from(blocks))?,
            opaque: Opaque::parse(opaque).ok_or(SpdmFormatError::Opaque)?,
            signed,
            signature,
            trailing: Trailing {
                count: rest.len(),
                all_zero: rest.iter().all(|byte| *byte == 0),
            },
        })
    }

    /// What followed the signature.
    pub fn trailing(&self) -> Trailing {
        self.trailing
    }

    /// The nonce that the requester sent.
    pub fn request_nonce(&self) -> &[u8; 32] {
        &self.request_nonce
    }

    /// The device's own nonce.
    pub fn response_nonce(&self) -> &[u8; 32] {
        &self.response_nonce
    }

    /// Every measurement, in order.
    pub fn measurements(&self) -> &[Measurement] {
        &self.measurements
    }

    /// What the device says about itself.
    pub fn opaque(&self) -> &Opaque {
        &self.opaque
    }

    /// VBIOS version in the spelling of manifests, `96.00.5E.00.01`. GPUs send eight bytes of which
    /// each half is little-endian; switches send text.
    pub fn vbios_version(&self) -> Option<String> {
        let raw = self.opaque.get(OpaqueField::VbiosVersion)?;
        if let Ok([a, b, c, d, low, ..]) = <[u8; 8]>::try_from(raw) {
            return Some(format!("{d:02X}.{c:02X}.{b:02X}.{a:02X}.{low:02X}"));
        }
        self.opaque
            .text(OpaqueField::VbiosVersion)
            .map(str::to_ascii_uppercase)
    }

    /// The driver the device was started by; GPUs only.
    pub fn driver_version(&self) -> Option<&str> {
        self.opaque.text(OpaqueField::DriverVersion)
    }

    pub(super) fn signed(&self) -> &[u8] {
        &self.signed
    }

    pub(super) fn signature(&self) -> &[u8; SIGNATURE_LEN] {
        &self.signature
    }
}

fn measurements(record: &[u8], count: usize) -> Result<Vec<Measurement>, SpdmFormatError> {
    let mut reader = Reader::new(record);
    let mut found = Vec::with_capacity(count);
    for place in 1..=count {
        let bad = |_| SpdmFormatError::Block(place);
        let measurement = measurement(&mut reader).map_err(bad)?;
        let measurement = measurement.filter(|it| usize::from(it.index) == place);
        found.push(measurement.ok_or(SpdmFormatError::Block(place))?);
    }
    if reader.rest().is_empty() {
        Ok(found)
    } else {
        Err(SpdmFormatError::Block(count + 1))
    }
}

/// The next block; nothing if it is of another specification or size.
fn measurement(reader: &mut Reader<'_>) -> Result<Option<Measurement>, EndsInside> {
    let index = reader.u8("block")?;
    let specification = reader.u8("block")?;
    let size = reader.u16("block")?;
    let _kind = reader.u8("block")?;
    let value_size = reader.u16("block")?;
    let value = *reader.array("block")?;
    let is_whole =
        specification == DMTF && (size, value_size) == (VALUE_LEN as u16 + 3, VALUE_LEN as u16);
    Ok(is_whole.then_some(Measurement { index, value }))
}
