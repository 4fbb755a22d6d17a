//! Wipes the part of a thread's stack that is not in use.
//!
//! Copying, hashing and encrypting pass bytes through registers and local variables, and some of
//! those are stored on the stack, where they stay after the functions have returned.

use std::hint::black_box;

use crate::control::nothing_is_wiped;

/// More than the threads of a service use while they handle a request. Stack frames of a build without
/// optimization are several times as large.
const DEPTH: usize = if cfg!(debug_assertions) {
    512 * 1024
} else {
    128 * 1024
};

/// Overwrites the stack below the caller. For a runtime's `on_thread_park`: what a worker's
/// tasks left on its stack is wiped when the worker goes to sleep.
pub fn wipe_unused_stack() {
    if !nothing_is_wiped() {
        wipe_below();
    }
}

// Not inlined: the array must be in a frame below the caller's, not in it.
#[inline(never)]
fn wipe_below() {
    // `black_box` keeps the optimizer from removing the writes.
    let mut below = [0_u8; DEPTH];
    black_box(&mut below);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_on_a_stack_with_little_room() {
        let small = std::thread::Builder::new().stack_size(4 * DEPTH);
        small.spawn(wipe_unused_stack).unwrap().join().unwrap();
    }
}
