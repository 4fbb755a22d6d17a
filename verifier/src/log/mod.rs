//! Reads audit logs from exported directories, copies of a database, and saved heads.
//!
//! Reading only: `attest_core::log` checks entries, heads and proofs.

mod database;
mod directory;
mod heads;
mod source;

pub use heads::Head;
pub use source::{LogReadError, Source};
