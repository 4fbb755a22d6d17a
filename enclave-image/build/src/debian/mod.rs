//! Debian's packages: which ones, where from, and what is in them.

pub mod archive;
pub mod deb;
pub mod index;
pub mod lock;
pub mod refresh;
pub mod tar;
pub mod unpacked;
