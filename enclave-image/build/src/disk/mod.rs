//! Files and file systems, as bytes: everything here is a function of its input and of nothing else.

pub mod cpio;
pub mod erofs;
pub mod tree;
pub mod verity;
