//! Logs of real boots: of a TD (CCEL, dstack) as the verifier reads them, or of a TPM, whose events
//! are mapped to those of a TD.
//!
//! A TPM's log is the crypto-agile log (TCG PC Client Platform Firmware Profile 1.05 §10.2), as Linux
//! provides it in `binary_bios_measurements`. It has the form of a CCEL area, with PCR numbers in place of
//! register numbers. It needs a SHA-384 bank.

use attest_core::event_log::{
    CcelError, EventLog, EventLogError, EventType, MAX_LOG_LEN, Register,
};

use crate::bytes::{array, slice, to_usize, u16_at, u32_at};
use crate::hash::Sha384;

const SHA384: u16 = 0xC;
const SPEC_ID: &[u8; 16] = b"Spec ID Event03\0";
/// Register, type and SHA-1 digest of the header event.
const HEADER_LEN: usize = 28;
const MAX_ALGORITHMS: u32 = 8;
const MAX_PCR: u32 = 23;

/// Why a log cannot be used for a comparison.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Neither a TD's log nor a TPM's.
    #[error(transparent)]
    EventLog(#[from] EventLogError),
    /// A TPM's log without SHA-384 digests: the bank was not active.
    #[error("the TPM's log has no SHA-384 digests: was that bank active?")]
    NoSha384,
    /// A TPM's log that is truncated or damaged.
    #[error("event {event} of the TPM's log has a bad {field}")]
    Event {
        /// Which, from zero, the header not counted.
        event: usize,
        /// Which field.
        field: &'static str,
    },
    /// An invalid header.
    #[error("the TPM's log has a bad header: {0}")]
    Header(&'static str),
}

/// The kind of machine that wrote a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// A TD.
    Td,
    /// A TPM.
    Tpm,
}

/// One extension, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootEvent {
    /// The register of a TD; of a TPM's event, the one that its PCR is mapped to. None for PCR 0 and
    /// 16 to 23, which a TD does not have.
    pub register: Option<Register>,
    /// The PCR, in a TPM's log.
    pub pcr: Option<u32>,
    /// Its claimed type.
    pub event_type: EventType,
    /// What the register was extended with.
    pub digest: Sha384,
}

/// The extensions of a boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootLog {
    /// Where it is from.
    pub source: LogSource,
    /// In the log's order.
    pub events: Vec<BootEvent>,
}

impl BootLog {
    /// Reads a log of either kind. A CCEL area extends registers 1 to 4; a log that extends 0 or others
    /// is a TPM's.
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        match EventLog::parse(bytes) {
            Ok(log) => Ok(Self::from_td_log(&log)),
            Err(EventLogError::Ccel(
                CcelError::Register { .. } | CcelError::BytesAfterEnd { .. },
            )) => tpm_log(bytes),
            Err(EventLogError::Ccel(CcelError::NoSha384)) => Err(LogError::NoSha384),
            Err(other) => Err(other.into()),
        }
    }

    fn from_td_log(log: &EventLog) -> Self {
        let extending = log.claimed_events().iter();
        let events = extending.filter_map(|event| {
            Some(BootEvent {
                register: Some(event.register()?),
                pcr: None,
                event_type: event.claimed_type(),
                digest: *event.digest(),
            })
        });
        Self {
            source: LogSource::Td,
            events: events.collect(),
        }
    }
}

/// The register that a PCR is mapped to (UEFI 2.10 §38.4.1).
pub const fn register_of_pcr(pcr: u32) -> Option<Register> {
    match pcr {
        1 | 7 => Some(Register::Rtmr0),
        2..=6 => Some(Register::Rtmr1),
        8..=15 => Some(Register::Rtmr2),
        _ => None,
    }
}

fn tpm_log(bytes: &[u8]) -> Result<BootLog, LogError> {
    if bytes.len() > MAX_LOG_LEN {
        return Err(LogError::Header("length"));
    }
    let (algorithms, mut offset) = tpm_header(bytes)?;
    let mut events = Vec::new();
    let mut position = 0;
    while offset < bytes.len() {
        let (event, end) =
            tpm_event(bytes, offset, &algorithms).map_err(|field| LogError::Event {
                event: position,
                field,
            })?;
        events.extend(event);
        offset = end;
        position += 1;
    }
    Ok(BootLog {
        source: LogSource::Tpm,
        events,
    })
}

/// Algorithms with their digests' lengths, and where the first event begins.
fn tpm_header(bytes: &[u8]) -> Result<(Vec<(u16, usize)>, usize), LogError> {
    let len = u32_at(bytes, HEADER_LEN).ok_or(LogError::Header("length"))?;
    let start = HEADER_LEN + 4;
    let header = slice(bytes, start, to_usize(len)).ok_or(LogError::Header("length"))?;
    if slice(header, 0, 16) != Some(SPEC_ID) {
        return Err(LogError::Header("signature"));
    }
    let count = u32_at(header, 24).filter(|count| *count <= MAX_ALGORITHMS);
    let count = to_usize(count.ok_or(LogError::Header("algorithms"))?);
    let algorithms: Vec<_> = (0..count)
        .map(|index| {
            let (id, len) = (
                u16_at(header, 28 + 4 * index)?,
                u16_at(header, 30 + 4 * index)?,
            );
            Some((id, usize::from(len)))
        })
        .collect::<Option<_>>()
        .ok_or(LogError::Header("algorithms"))?;
    if !algorithms.contains(&(SHA384, 48)) {
        return Err(LogError::NoSha384);
    }
    Ok((algorithms, start + header.len()))
}

fn tpm_event(
    bytes: &[u8],
    start: usize,
    algorithms: &[(u16, usize)],
) -> Result<(Option<BootEvent>, usize), &'static str> {
    let pcr = u32_at(bytes, start).ok_or("PCR")?;
    let event_type = u32_at(bytes, start + 4).ok_or("type")?;
    let event_type = EventType::from_code(event_type);
    let count = u32_at(bytes, start + 8).ok_or("number of digests")?;
    if to_usize(count) > algorithms.len() {
        return Err("number of digests");
    }
    let mut offset = start + 12;
    let mut digest = None;
    for _ in 0..count {
        let id = u16_at(bytes, offset).ok_or("digest")?;
        let (_, len) = algorithms
            .iter()
            .find(|(this, _)| *this == id)
            .ok_or("digest")?;
        offset += 2;
        if id == SHA384 {
            digest = array(bytes, offset);
        }
        slice(bytes, offset, *len).ok_or("digest")?;
        offset += len;
    }
    let len = to_usize(u32_at(bytes, offset).ok_or("length")?);
    slice(bytes, offset + 4, len).ok_or("length")?;
    let end = offset + 4 + len;
    if event_type == EventType::NO_ACTION {
        return Ok((None, end));
    }
    if pcr > MAX_PCR {
        return Err("PCR");
    }
    let event = BootEvent {
        register: register_of_pcr(pcr),
        pcr: Some(pcr),
        event_type,
        digest: digest.ok_or("digest")?,
    };
    Ok((Some(event), end))
}
