//! All readable memory of a process, searched through `/proc`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::canary::{Form, Needle, Side};

const BLOCK: usize = 1 << 20;
/// Pages of the kernel's that are mapped into every process and cannot be read through `/proc`.
const KERNELS: [&str; 4] = ["[vvar]", "[vvar_vclock]", "[vsyscall]", "[vdso]"];

/// What one search found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub raw: u64,
    pub escaped: u64,
    pub base64: u64,
    pub hex: u64,
    /// How many of them were the prompt's.
    pub of_prompt: u64,
}

impl Found {
    pub fn all(&self) -> u64 {
        self.raw + self.escaped + self.base64 + self.hex
    }

    pub fn of(&self, form: Form) -> u64 {
        match form {
            Form::Raw => self.raw,
            Form::Escaped => self.escaped,
            Form::Base64 => self.base64,
            Form::Hex => self.hex,
        }
    }

    pub fn add(&mut self, other: Self) {
        self.raw += other.raw;
        self.escaped += other.escaped;
        self.base64 += other.base64;
        self.hex += other.hex;
        self.of_prompt += other.of_prompt;
    }

    fn count(&mut self, needle: &Needle) {
        match needle.form {
            Form::Raw => self.raw += 1,
            Form::Escaped => self.escaped += 1,
            Form::Base64 => self.base64 += 1,
            Form::Hex => self.hex += 1,
        }
        self.of_prompt += u64::from(needle.side == Side::Prompt);
    }
}

/// What is searched for, sorted by how it begins.
pub struct Needles {
    needles: Vec<Needle>,
    /// For every two bytes, whether a needle begins with them.
    begins: Vec<bool>,
    longest: usize,
}

impl Needles {
    pub fn new(needles: Vec<Needle>) -> Self {
        let mut begins = vec![false; 1 << 16];
        for needle in &needles {
            begins[pair(needle.bytes[0], needle.bytes[1])] = true;
        }
        let longest = needles.iter().map(|n| n.bytes.len()).max().unwrap_or(0);
        Self {
            needles,
            begins,
            longest,
        }
    }

    /// What is in these bytes.
    pub fn found_in(&self, bytes: &[u8]) -> Found {
        let mut found = Found::default();
        self.count(bytes, bytes.len(), |_, needle| found.count(needle));
        found
    }

    /// Counts the needles that begin in the first `starts` bytes.
    fn count(&self, bytes: &[u8], starts: usize, mut found: impl FnMut(usize, &Needle)) {
        for at in 0..starts.min(bytes.len().saturating_sub(1)) {
            if !self.begins[pair(bytes[at], bytes[at + 1])] {
                continue;
            }
            for needle in &self.needles {
                if bytes[at..].starts_with(&needle.bytes) {
                    found(at, needle);
                }
            }
        }
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

struct Mapping {
    start: u64,
    end: u64,
    name: String,
}

fn mappings(pid: u32) -> io::Result<Vec<Mapping>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let readable = words.next()?.starts_with('r');
        let name = words.nth(3).unwrap_or("(anonymous)").to_owned();
        (readable && !KERNELS.contains(&name.as_str())).then_some(Mapping {
            start: u64::from_str_radix(start, 16).ok()?,
            end: u64::from_str_radix(end, 16).ok()?,
            name,
        })
    };
    Ok(text.lines().filter_map(parse).collect())
}

/// Searches everything that process `pid` can read. `place` hears of each find: where it is, and the
/// bytes around it.
pub fn search(
    pid: u32,
    needles: &Needles,
    mut place: impl FnMut(&str, &[u8]),
) -> io::Result<Found> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut total = Found::default();
    let mut buffer = vec![0; BLOCK + needles.longest];
    let mut read_any = false;
    for mapping in mappings(pid)? {
        let mut at = mapping.start;
        while at < mapping.end {
            let left = usize::try_from(mapping.end - at).unwrap_or(usize::MAX);
            let wanted = left.min(buffer.len());
            // A mapping can vanish, or be a hole in a file, while we look.
            let read = memory.read_at(&mut buffer[..wanted], at).unwrap_or(0);
            read_any |= read > 0;
            let seen = &buffer[..read];
            needles.count(seen, BLOCK, |offset, needle| {
                total.count(needle);
                let around = offset.saturating_sub(64)..seen.len().min(offset + 128);
                let at = at + offset as u64;
                let name = format!(
                    "{} at {at:x}, {} before its end",
                    mapping.name,
                    mapping.end - at
                );
                place(&name, &seen[around]);
            });
            at += left.min(BLOCK) as u64;
        }
    }
    if read_any {
        Ok(total)
    } else {
        Err(io::Error::other("none of its memory could be read"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::Canary;

    #[test]
    fn a_pattern_in_our_own_memory_is_found_once() {
        let canary = Canary::fresh();
        let needles = Needles::new(canary.needles(Side::Prompt));
        let before = search(std::process::id(), &needles, |_, _| {}).expect("our own memory");
        let text = canary.text(100 * crate::canary::PERIOD).into_boxed_str();
        let after = search(std::process::id(), &needles, |_, _| {}).expect("our own memory");
        assert!(after.raw >= before.raw + 200, "{before:?} {after:?}");
        assert_eq!(
            after.raw,
            after.of_prompt - after.escaped - after.base64 - after.hex
        );
        drop(text);
    }

    #[test]
    fn reports_an_error_for_a_missing_process() {
        let needles = Needles::new(Canary::fresh().needles(Side::Prompt));
        assert!(search(u32::MAX, &needles, |_, _| {}).is_err());
    }
}
