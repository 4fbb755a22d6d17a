//! Audit logs from where auditors have them: exported directories, copies of a database, saved heads.
//!
//! Gathering only. Whether entries, heads and proofs are what they should be is decided in
//! `attest_core::log`.

mod database;
mod directory;
mod heads;
mod source;

pub use heads::Head;
pub use source::{Gone, Source};
