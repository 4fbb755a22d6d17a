//! Switches all wiping off, for the control program of the tests.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set at most once, at the start of a test program. Relaxed is enough: a thread that reads the old value for a moment
/// wipes too much, not too little.
static NOTHING_IS_WIPED: AtomicBool = AtomicBool::new(false);

/// From now on connections are not scrubbed and stacks are not wiped. With another allocator than
/// [`Wiping`](crate::Wiping) the program then leaves its memory as it is. Tests search its memory to show that the
/// search finds prompts, and measure the cost of wiping against it.
pub fn testonly_wipe_nothing() {
    NOTHING_IS_WIPED.store(true, Ordering::Relaxed);
}

#[inline]
pub(crate) fn nothing_is_wiped() -> bool {
    NOTHING_IS_WIPED.load(Ordering::Relaxed)
}
