//! The part of a thread's stack that is not in use.
//!
//! Copying, hashing and encrypting pass bytes through registers and local variables, and some of
//! those end up on the stack, where they stay when the functions that put them there have returned.

use std::hint::black_box;

use crate::control::nothing_is_wiped;

/// Deeper than the threads of a service go while they handle a request. Frames of a build that is not
/// optimized are several times as large.
const DEPTH: usize = if cfg!(debug_assertions) {
    512 * 1024
} else {
    128 * 1024
};

/// Overwrites the stack below the caller. Made for a runtime's `on_thread_park`: what a worker's
/// tasks left on its stack is gone when the worker goes to sleep.
pub fn unused_stack() {
    if !nothing_is_wiped() {
        wipe_below();
    }
}

#[inline(never)]
fn wipe_below() {
    let mut below = [0_u8; DEPTH];
    black_box(&mut below);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_with_little_room_is_enough() {
        let small = std::thread::Builder::new().stack_size(4 * DEPTH);
        small.spawn(unused_stack).unwrap().join().unwrap();
    }
}
