//! Finds the boot event log in the guest's memory, where the firmware keeps it.
//!
//! The guest has no shell that could print it, and a file backs its memory. The log begins with a special
//! event (TCG PC Client Platform Firmware Profile §10.4.5.1). The kernel may have copied an earlier part of it, so the
//! longest match is the whole log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Ends the fixed part of the first event's contents' name.
const SIGNATURE: &[u8] = b"Spec ID Event03\0";
/// Register, type, SHA-1 of zeros, length.
const FIRST_HEADER: usize = 4 + 4 + 20 + 4;
/// Firmware reserves 64 KiB.
const MOST: usize = 256 << 10;
const CHUNK: usize = 8 << 20;

/// The longest event log in a file that backs a guest's memory.
pub fn event_log(memory: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(memory)?;
    let mut longest: Option<Vec<u8>> = None;
    for at in find(&mut file)? {
        let Some(start) = at.checked_sub(FIRST_HEADER as u64) else {
            continue;
        };
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        (&mut file).take(MOST as u64).read_to_end(&mut bytes)?;
        let len = log_len(&bytes);
        if len > longest.as_ref().map_or(0, Vec::len) {
            bytes.truncate(len);
            longest = Some(bytes);
        }
    }
    Ok(longest)
}

fn find(file: &mut File) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    let mut window: Vec<u8> = Vec::new();
    let mut base = 0_u64;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(found);
        }
        window.extend_from_slice(&chunk[..read]);
        let hits = memchr::memmem::find_iter(&window, SIGNATURE);
        found.extend(hits.map(|at| base + at as u64));
        let drop = window.len().saturating_sub(SIGNATURE.len() - 1);
        window.drain(..drop);
        base += drop as u64;
    }
}

/// How many bytes of these are a log; zero if they do not begin with one.
pub fn log_len(bytes: &[u8]) -> usize {
    let first = || -> Option<usize> {
        let kind = number(bytes, 4)?;
        let len = number(bytes, 28)? as usize;
        let no_action = number(bytes, 0)? == 0 && kind == 3;
        (no_action && len <= 4096 && bytes.len() >= FIRST_HEADER + len)
            .then_some(FIRST_HEADER + len)
    };
    let Some(mut at) = first() else {
        return 0;
    };
    while let Some(len) = event_len(&bytes[at..]) {
        at += len;
    }
    at
}

/// Of an event with several digests (§10.2.2); `None` where there is none.
fn event_len(bytes: &[u8]) -> Option<usize> {
    let (register, kind, count) = (number(bytes, 0)?, number(bytes, 4)?, number(bytes, 8)?);
    let plausible = (register < 24 || register == u32::MAX) && kind != 0 && kind != u32::MAX;
    if !plausible || !(1..=5).contains(&count) {
        return None;
    }
    let mut at = 12;
    for _ in 0..count {
        let algorithm = bytes.get(at..at + 2)?;
        at += 2 + match u16::from_le_bytes([algorithm[0], algorithm[1]]) {
            0x0004 => 20,
            0x000b | 0x0012 => 32,
            0x000c => 48,
            0x000d => 64,
            _ => return None,
        };
    }
    let len = number(bytes, at)? as usize;
    let end = at.checked_add(4)?.checked_add(len)?;
    (end <= bytes.len()).then_some(end)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([field[0], field[1], field[2], field[3]]))
}
