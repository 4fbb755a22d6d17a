//! The image tool from outside: bytes in, bytes out, and what the repository's own files say.

mod blob;
mod cpio;
mod debian;
mod definitions;
mod erofs;
mod memory;
mod modules;
mod repro;
mod uki;
mod verity;
