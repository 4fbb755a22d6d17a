//! An allocator that wipes on free.
//!
//! The only unsafe code of this crate. It adds two things to the allocator below it: an
//! allocation is overwritten with zeros before it is freed, and `realloc` moves instead of growing in place, since
//! a forwarded `realloc` may leave the old bytes in memory that is never wiped.
//!
//! A plain fill followed by a free is a dead store that the optimizer may remove. An empty assembly
//! block that takes the address makes the zeros observable. A fill is limited by the
//! memory's bandwidth; wiping byte by byte with volatile writes takes sixteen times as long.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};

/// A global allocator that overwrites memory with zeros before freeing it.
///
/// ```
/// #[global_allocator]
/// static MEMORY: scrub::Wiping = scrub::Wiping::new();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Wiping<Below = System> {
    below: Below,
}

impl Wiping {
    /// On top of the system's allocator.
    pub const fn new() -> Self {
        Self { below: System }
    }
}

impl<Below> Wiping<Below> {
    /// On top of another allocator.
    pub const fn over(below: Below) -> Self {
        Self { below }
    }
}

// SAFETY: every returned pointer comes unchanged from `below` for the requested layout, and every
// freed pointer goes to `below` with the layout it was allocated with. Between the two this
// adds only writes inside the allocation, at a time when the caller no longer uses it.
unsafe impl<Below: GlobalAlloc> GlobalAlloc for Wiping<Below> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's guarantees are the ones that `below` requires.
        unsafe { self.below.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's guarantees are the ones that `below` requires.
        unsafe { self.below.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` is a live allocation of `layout.size()` bytes that the caller no longer
        // uses, so all of it may be written.
        unsafe { wipe(pointer, layout.size()) };
        // SAFETY: the caller's guarantees are the ones that `below` requires.
        unsafe { self.below.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that `new_size`, rounded up to the alignment, does not
        // overflow `isize`, which is all that `Layout` requires; and that it is not zero.
        let new = unsafe {
            let layout = Layout::from_size_align_unchecked(new_size, layout.align());
            self.below.alloc(layout)
        };
        if !new.is_null() {
            // SAFETY: both are live allocations of at least the number of bytes copied, and the new
            // one cannot overlap the old one. After that the old one is freed for the
            // caller, with the layout it was allocated with.
            unsafe {
                std::ptr::copy_nonoverlapping(old, new, layout.size().min(new_size));
                self.dealloc(old, layout);
            }
        }
        new
    }
}

/// Overwrites `len` bytes at `pointer` with zeros that the optimizer cannot drop.
///
/// # Safety
/// `pointer` must be valid for writes of `len` bytes.
#[inline]
unsafe fn wipe(pointer: *mut u8, len: usize) {
    // SAFETY: guaranteed by the caller.
    unsafe { std::ptr::write_bytes(pointer, 0, len) };
    #[cfg(not(miri))]
    // SAFETY: no instruction is executed. The block only declares that it reads memory through the address.
    unsafe {
        std::arch::asm!("/* {0} */", in(reg) pointer, options(nostack, preserves_flags, readonly));
    }
    #[cfg(miri)]
    std::hint::black_box(pointer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Allocates from the system and reads freed memory before returning it.
    #[derive(Default)]
    struct Inspector {
        given_back: RefCell<Vec<Vec<u8>>>,
        reallocated: RefCell<usize>,
    }

    // SAFETY: forwards everything to the system's allocator unchanged; an allocation is read
    // before it is freed.
    unsafe impl GlobalAlloc for &Inspector {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: forwarded. Zeroed, so that reading it back later is defined.
            unsafe { System.alloc_zeroed(layout) }
        }
        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            // SAFETY: the allocation is live, initialized since `alloc`, and `layout.size()` bytes long.
            let bytes = unsafe { std::slice::from_raw_parts(pointer, layout.size()) }.to_vec();
            self.given_back.borrow_mut().push(bytes);
            // SAFETY: forwarded.
            unsafe { System.dealloc(pointer, layout) }
        }
        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
            *self.reallocated.borrow_mut() += 1;
            // SAFETY: forwarded.
            unsafe { System.realloc(pointer, layout, new_size) }
        }
    }

    fn filled(allocator: &impl GlobalAlloc, layout: Layout) -> *mut u8 {
        // SAFETY: the layout's size is not zero in any test; the fill stays inside the allocation.
        unsafe {
            let pointer = allocator.alloc(layout);
            assert!(!pointer.is_null());
            std::ptr::write_bytes(pointer, 0xA5, layout.size());
            pointer
        }
    }

    #[test]
    fn memory_is_zero_when_it_is_freed() {
        for size in [1, 7, 64, 4096, 200_000] {
            let inspector = Inspector::default();
            let allocator = Wiping::over(&inspector);
            let layout = Layout::from_size_align(size, 8).unwrap();
            let pointer = filled(&allocator, layout);
            // SAFETY: allocated above with this layout.
            unsafe { allocator.dealloc(pointer, layout) };
            assert_eq!(*inspector.given_back.borrow(), [vec![0; size]]);
        }
    }

    #[test]
    fn realloc_moves_and_wipes_the_old_allocation() {
        for (from, to) in [(16, 64), (64, 16), (100, 100), (4096, 1 << 20)] {
            let inspector = Inspector::default();
            let allocator = Wiping::over(&inspector);
            let layout = Layout::from_size_align(from, 8).unwrap();
            let old = filled(&allocator, layout);
            // SAFETY: allocated above with this layout; the new size is not zero.
            let new = unsafe { allocator.realloc(old, layout, to) };
            // SAFETY: at least `from.min(to)` bytes, all initialized.
            let kept = unsafe { std::slice::from_raw_parts(new, from.min(to)) };
            assert!(kept.iter().all(|byte| *byte == 0xA5));
            assert_eq!(*inspector.given_back.borrow(), [vec![0; from]]);
            assert_eq!(*inspector.reallocated.borrow(), 0);
            // SAFETY: allocated by `realloc` with this size and alignment.
            unsafe { allocator.dealloc(new, Layout::from_size_align(to, 8).unwrap()) };
        }
    }

    #[test]
    fn alignment_survives_moving() {
        let inspector = Inspector::default();
        let allocator = Wiping::over(&inspector);
        let layout = Layout::from_size_align(64, 64).unwrap();
        let old = filled(&allocator, layout);
        // SAFETY: allocated above with this layout; the new size is not zero.
        let new = unsafe { allocator.realloc(old, layout, 640) };
        assert_eq!(new.addr() % 64, 0);
        // SAFETY: allocated by `realloc` with this size and alignment.
        unsafe { allocator.dealloc(new, Layout::from_size_align(640, 64).unwrap()) };
    }

    #[test]
    fn alloc_zeroed_returns_zeros() {
        let allocator = Wiping::new();
        let layout = Layout::from_size_align(1024, 8).unwrap();
        // SAFETY: the size is not zero; the memory is initialized by contract and freed once.
        unsafe {
            let pointer = allocator.alloc_zeroed(layout);
            assert!(
                std::slice::from_raw_parts(pointer, 1024)
                    .iter()
                    .all(|byte| *byte == 0)
            );
            allocator.dealloc(pointer, layout);
        }
    }
}
