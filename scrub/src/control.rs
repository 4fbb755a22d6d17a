//! Nothing wiped: the program that everything here is measured against.

use std::sync::atomic::{AtomicBool, Ordering};

static NOTHING_IS_WIPED: AtomicBool = AtomicBool::new(false);

/// From now on connections are not scrubbed and stacks are not wiped. With another allocator than
/// [`Wiping`](crate::Wiping) a program then leaves its memory as it is: what a search has to find, and what the cost
/// of wiping is a ratio to. In a program that never calls it the answer is a constant.
pub fn testonly_wipe_nothing() {
    NOTHING_IS_WIPED.store(true, Ordering::Relaxed);
}

#[inline]
pub(crate) fn nothing_is_wiped() -> bool {
    NOTHING_IS_WIPED.load(Ordering::Relaxed)
}
