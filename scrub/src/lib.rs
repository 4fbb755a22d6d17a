//! Memory that forgets.
//!
//! Two things keep prompts in a process after their use: freed memory, which keeps its bytes until
//! somebody else needs it, and buffers that live as long as a kept-alive connection.
//!
//! - [`Wiping`] is a global allocator that overwrites memory before it is freed, and never lets the
//!   allocator below move or grow an allocation behind its back.
//! - [`Scrubbed`] wraps a connection and overwrites the unused part of the reader's buffer whenever
//!   there is nothing to read, which is when a kept-alive connection goes idle.
//!
//! Neither reaches what is not the process's: the kernel's socket buffers, registers, the other side.
//! Memory that is still in use, by definition, is not wiped.

mod allocator;
mod connection;

pub use allocator::Wiping;
pub use connection::Scrubbed;
