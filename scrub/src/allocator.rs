//! An allocator that wipes on free.
//!
//! The whole of the crate's unsafe code. It adds to the allocator below it: overwriting an
//! allocation with zeros before it is given back, and moving instead of growing in place, since
//! a forwarded `realloc` may leave the old bytes where nobody will ever wipe them.
//!
//! A plain fill followed by a free is a dead store that the optimizer may drop. An empty assembly
//! block that is told the address makes the zeros observable. One fill costs about as much as the
//! memory's bandwidth; wiping byte by byte with volatile writes costs sixteen times that.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};

/// A global allocator that overwrites memory with zeros before giving it back.
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

// SAFETY: every pointer handed out comes unchanged from `below` for the layout asked for, and every
// pointer given back goes to `below` with the layout it was handed out with. Between the two this
// adds only writes inside the allocation, at a time when the caller has given it up.
unsafe impl<Below: GlobalAlloc> GlobalAlloc for Wiping<Below> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the ones `below` asks for.
        unsafe { self.below.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the ones `below` asks for.
        unsafe { self.below.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` is a live allocation of `layout.size()` bytes that the caller gives up,
        // so writing to all of it disturbs nobody.
        unsafe { wipe(pointer, layout.size()) };
        // SAFETY: the caller's promises are the ones `below` asks for.
        unsafe { self.below.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `new_size`, rounded up to the alignment, does not
        // overflow `isize`, which is all that `Layout` asks for; and that it is not zero.
        let new = unsafe {
            let layout = Layout::from_size_align_unchecked(new_size, layout.align());
            self.below.alloc(layout)
        };
        if !new.is_null() {
            // SAFETY: both are live allocations of at least the number of bytes copied, and a fresh
            // one cannot overlap an old one. After that the old one is given up in the caller's
            // stead, with the layout it was made with.
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
    // SAFETY: the caller's promise.
    unsafe { std::ptr::write_bytes(pointer, 0, len) };
    #[cfg(not(miri))]
    // SAFETY: no instruction is executed. The block only claims to read memory through the address.
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

    /// Hands out memory from the system and looks at what comes back before freeing it.
    #[derive(Default)]
    struct Inspector {
        given_back: RefCell<Vec<Vec<u8>>>,
        reallocated: RefCell<usize>,
    }

    // SAFETY: forwards everything to the system's allocator unchanged; reading an allocation that is
    // being given back happens before it is freed.
    unsafe impl GlobalAlloc for &Inspector {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: forwarded. Zeroed, so that reading it back later is defined.
            unsafe { System.alloc_zeroed(layout) }
        }
        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            // SAFETY: the allocation is live, initialized since `alloc`, and `layout.size()` long.
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
    fn memory_is_zero_when_it_is_given_back() {
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
    fn growing_and_shrinking_move_and_wipe_what_they_leave() {
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
    fn memory_asked_for_as_zero_is_zero() {
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
