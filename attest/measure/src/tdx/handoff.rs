//! The hand-off block, in which the host describes the memory to the firmware.
//!
//! A list of HOBs (UEFI PI 1.8, volume 3): hand-off information, then a resource descriptor for each
//! range: memory that the firmware's sections put there from the start, and memory that is still to be
//! accepted. QEMU writes it (`hw/i386/tdvf-hob.c`) and the firmware measures it without its end mark.

use super::TdxError;
use crate::firmware::{SectionKind, Tdvf};

const FOUR_GIB: u64 = 1 << 32;
/// QEMU's machine `q35`: up to this size all memory is below 4 GiB, from here only 2 GiB are.
const SPLIT_FROM: u64 = 0xB000_0000;
const LOW_WHEN_SPLIT: u64 = 0x8000_0000;
/// The range of 52 bits of physical address.
const MAX_MEMORY: u64 = 1 << 52;

const HANDOFF_LEN: u16 = 56;
const RESOURCE_LEN: u16 = 48;
const SYSTEM_MEMORY: u32 = 0;
const UNACCEPTED: u32 = 7;
/// Present, initialized, tested.
const ATTRIBUTES: u32 = 7;

/// A machine's memory: ranges of address and length, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryMap(Vec<(u64, u64)>);

impl MemoryMap {
    /// QEMU's machine `q35` with this much memory and no `max-ram-below-4g`.
    pub fn q35(memory: u64) -> Result<Self, TdxError> {
        if memory == 0 || memory > MAX_MEMORY {
            return Err(TdxError::Memory(memory));
        }
        if memory < SPLIT_FROM {
            return Ok(Self(vec![(0, memory)]));
        }
        let high = memory - LOW_WHEN_SPLIT;
        Ok(Self(vec![(0, LOW_WHEN_SPLIT), (FOUR_GIB, high)]))
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|(_, len)| len).sum()
    }
}

/// The bytes that are measured.
pub fn handoff_block(tdvf: &Tdvf<'_>, memory: &MemoryMap) -> Result<Vec<u8>, TdxError> {
    let place = tdvf.section(SectionKind::HandOff);
    let place = place.ok_or(crate::firmware::FirmwareError::Missing(
        "section for the hand-off block",
    ))?;
    let ranges = ranges(tdvf, memory).ok_or(TdxError::Memory(memory.total()))?;
    let mut block = Vec::new();
    block.extend_from_slice(&1_u16.to_le_bytes());
    block.extend_from_slice(&HANDOFF_LEN.to_le_bytes());
    block.extend_from_slice(&[0; 4]);
    block.extend_from_slice(&9_u32.to_le_bytes()); // version
    block.extend_from_slice(&[0; 4 + 4 * 8]); // boot mode, bounds of memory
    let resources = ranges.len() as u64 * u64::from(RESOURCE_LEN);
    let end_mark = 8;
    let end = place.address + u64::from(HANDOFF_LEN) + resources + end_mark;
    block.extend_from_slice(&end.to_le_bytes());
    for range in ranges {
        block.extend_from_slice(&3_u16.to_le_bytes());
        block.extend_from_slice(&RESOURCE_LEN.to_le_bytes());
        block.extend_from_slice(&[0; 4 + 16]); // reserved, owner
        block.extend_from_slice(&range.resource.to_le_bytes());
        block.extend_from_slice(&ATTRIBUTES.to_le_bytes());
        block.extend_from_slice(&range.start.to_le_bytes());
        block.extend_from_slice(&(range.end - range.start).to_le_bytes());
    }
    Ok(block)
}

struct Range {
    resource: u32,
    start: u64,
    end: u64,
}

/// The machine's memory, split at the firmware's sections; `None` if a section is outside of it.
fn ranges(tdvf: &Tdvf<'_>, memory: &MemoryMap) -> Option<Vec<Range>> {
    let mut taken: Vec<(u64, u64)> = tdvf
        .sections()
        .iter()
        .filter(|s| matches!(s.kind, SectionKind::HandOff | SectionKind::Temporary) && s.len > 0)
        .map(|s| (s.address, s.address + s.len))
        .collect();
    taken.sort_unstable();
    let mut ranges = Vec::new();
    let mut taken = taken.into_iter().peekable();
    for (start, len) in &memory.0 {
        let (mut at, end) = (*start, start + len);
        while let Some((first, last)) = taken.next_if(|(first, _)| *first < end) {
            if first < at || last > end {
                return None;
            }
            if first > at {
                ranges.push(Range {
                    resource: UNACCEPTED,
                    start: at,
                    end: first,
                });
            }
            ranges.push(Range {
                resource: SYSTEM_MEMORY,
                start: first,
                end: last,
            });
            at = last;
        }
        if at < end {
            ranges.push(Range {
                resource: UNACCEPTED,
                start: at,
                end,
            });
        }
    }
    taken.next().is_none().then_some(ranges)
}
