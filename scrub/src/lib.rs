//! Wipes memory that is no longer in use.
//!
//! Three things keep prompts in a process after their use: freed memory, which keeps its bytes until
//! it is allocated again; buffers that live as long as a kept-alive connection; and the stacks of
//! threads that handled prompts.
//!
//! - [`Wiping`] is a global allocator that overwrites memory before it is freed, and never lets the
//!   allocator below move or grow an allocation.
//! - [`Scrubbed`] wraps a connection and overwrites the unused part of the reader's buffer whenever
//!   there is nothing to read, which is when a kept-alive connection goes idle.
//! - [`wipe_unused_stack`] overwrites the stack below the caller: for a runtime's worker threads, whenever
//!   they go to sleep.
//!
//! None of them reaches memory outside the process: the kernel's socket buffers, registers, the peer.
//! Memory that is still in use is not wiped.

mod allocator;
mod connection;
mod control;
mod stack;

pub use allocator::Wiping;
pub use connection::Scrubbed;
pub use control::testonly_wipe_nothing;
pub use stack::wipe_unused_stack;
