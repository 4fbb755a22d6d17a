//! Flips bits, and counts which flips are refused.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Subject;

/// What came of one subject.
#[derive(Debug)]
pub struct Count {
    pub flips: usize,
    pub exhaustive: bool,
    /// Byte and bit of each flip that was accepted.
    pub accepted: Vec<(usize, u8)>,
}

/// Flips at most `at_most` bits, evenly spread, on `threads` threads. The unchanged bytes must be
/// accepted, or the refusals would mean nothing.
pub fn run(subject: &Subject, at_most: usize, threads: usize) -> Result<Count, String> {
    if !(subject.accepted)(&subject.bytes) {
        return Err(format!(
            "{}, {}: not accepted even unchanged",
            subject.kind, subject.part
        ));
    }
    let bits = subject.bytes.len() * 8;
    let flips = bits.min(at_most.max(1));
    let next = AtomicUsize::new(0);
    let accepted = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut bytes = subject.bytes.clone();
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if turn >= flips {
                        break;
                    }
                    // Spread over the bytes, and over the bits within them.
                    let bit = turn * bits / flips;
                    let (at, mask) = (bit / 8, 1u8 << (bit % 8));
                    bytes[at] ^= mask;
                    if (subject.accepted)(&bytes) {
                        let mut accepted = accepted.lock().expect("no judge panics");
                        accepted.push((at, (bit % 8) as u8));
                    }
                    bytes[at] ^= mask;
                }
            });
        }
    });
    let mut accepted = accepted.into_inner().expect("no judge panics");
    accepted.sort_unstable();
    Ok(Count {
        flips,
        exhaustive: flips == bits,
        accepted,
    })
}
