//! The CCEL area: the log that the ACPI table `CCEL` points to, in the crypto-agile format.
//!
//! Header ([`spec_id`](super::spec_id)), then `TCG_PCR_EVENT2` one after another: register, type,
//! digests, length, payload. The register is a CC measurement register index (UEFI 2.10 §38.4.1):
//! 0 is MRTD, which no event extends, 1 to 4 are RTMR0 to RTMR3. Only the SHA-384 digest counts,
//! since it is what RTMRs are extended with; others are skipped unread.
//!
//! The area is longer than the log. After the last event it may hold bytes 0xFF or 0x00 and no
//! others; no event begins with such a byte unless it informs only. A log cut inside an event is
//! refused, not shortened.

use super::Sha384;
use super::binding::{self, DigestBound};
use super::error::CcelError;
use super::event::{LoggedEvent, Register};
use super::event_type::EventType;
use super::log::MAX_LOG_LEN;
use super::spec_id::{Algorithms, SHA384};
use crate::reader::{EndsInside, Reader, to_usize};

/// The log without what pads its area, so that a report need not carry the padding.
///
/// ```
/// use attest_core::event_log::{CcelError, trim_ccel};
/// assert_eq!(trim_ccel(b"\x01"), Err(CcelError::HeaderTruncated { field: "register" }));
/// ```
pub fn trim_ccel(area: &[u8]) -> Result<&[u8], CcelError> {
    let (_, padding) = read(area)?;
    Ok(area.get(..area.len() - padding).unwrap_or(area))
}

pub(super) fn parse(area: &[u8]) -> Result<Vec<LoggedEvent>, CcelError> {
    read(area).map(|(events, _)| events)
}

fn read(area: &[u8]) -> Result<(Vec<LoggedEvent>, usize), CcelError> {
    if area.len() > MAX_LOG_LEN {
        return Err(CcelError::TooLong(area.len()));
    }
    let mut reader = Reader::new(area);
    let algorithms = Algorithms::read(&mut reader)?;
    let mut events = Vec::new();
    while !is_padding(reader.rest()) {
        let offset = area.len() - reader.rest().len();
        let event = read_event(&mut reader, events.len(), &algorithms);
        events.push(event.map_err(|error| after_padding(error, area, offset))?);
    }
    Ok((events, reader.rest().len()))
}

fn is_padding(rest: &[u8]) -> bool {
    rest.iter().all(|byte| matches!(byte, 0x00 | 0xFF))
}

/// An event that begins with padding is none: name what is wrong with the padding instead.
fn after_padding(error: CcelError, area: &[u8], offset: usize) -> CcelError {
    let rest = area.get(offset..).unwrap_or_default();
    let erased = rest.starts_with(&[0xFF; 4]) || rest.starts_with(&[0; 12]);
    let stray = rest.iter().position(|byte| !matches!(byte, 0x00 | 0xFF));
    match stray {
        Some(stray) if erased => CcelError::BytesAfterEnd {
            offset: offset + stray,
        },
        _ => error,
    }
}

fn read_event(
    reader: &mut Reader<'_>,
    event: usize,
    algorithms: &Algorithms,
) -> Result<LoggedEvent, CcelError> {
    let cut = |EndsInside { field, .. }| CcelError::EventTruncated { event, field };
    let index = reader.u32("register").map_err(cut)?;
    let event_type = EventType::from_code(reader.u32("type").map_err(cut)?);
    let digest = read_digests(reader, event, algorithms)?;
    let len = reader.u32("length").map_err(cut)?;
    let payload = reader.bytes("payload", to_usize(len)).map_err(cut)?;
    let not_an_rtmr = CcelError::Register { event, index };
    let (register, bound) = if event_type == EventType::NO_ACTION {
        if index > 4 {
            return Err(not_an_rtmr);
        }
        if digest != [0; 48] {
            return Err(CcelError::NoActionDigest { event });
        }
        (None, DigestBound::Opaque)
    } else {
        let number = index.checked_sub(1);
        let register = number.and_then(|number| Register::from_number(number.into()));
        let bound = binding::tcg_digest_bound(event_type, payload, &digest);
        (Some(register.ok_or(not_an_rtmr)?), bound)
    };
    Ok(LoggedEvent {
        position: event,
        register,
        event_type,
        name: None,
        digest,
        payload: payload.to_vec(),
        bound,
    })
}

/// One digest for each algorithm of the header, in any order.
fn read_digests(
    reader: &mut Reader<'_>,
    event: usize,
    algorithms: &Algorithms,
) -> Result<Sha384, CcelError> {
    const FIELD: &str = "digests";
    let cut = |EndsInside { field, .. }| CcelError::EventTruncated { event, field };
    let count = reader.u32(FIELD).map_err(cut)?;
    if to_usize(count) != algorithms.count() {
        return Err(CcelError::DigestCount { event, count });
    }
    let mut seen = Vec::new();
    let mut sha384 = None;
    for _ in 0..count {
        let algorithm = reader.u16(FIELD).map_err(cut)?;
        let size = match algorithms.size(algorithm) {
            Some(size) if !seen.contains(&algorithm) => size,
            _ => return Err(CcelError::Digest { event, algorithm }),
        };
        seen.push(algorithm);
        if algorithm == SHA384 {
            sha384 = Some(*reader.array(FIELD).map_err(cut)?);
        } else {
            reader.bytes(FIELD, size).map_err(cut)?;
        }
    }
    // As many different ones as the header lists, and the header lists SHA-384.
    sha384.ok_or(CcelError::DigestCount { event, count })
}
