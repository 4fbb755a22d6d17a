//! What outlives a request, and who may change that.
//!
//! The policy in force is the checked end of a chain in the ledger ([`history`]). It holds for an epoch; a change
//! begins the next one. What holds for one request is decided when it is admitted and goes with it to its end.

pub mod history;
pub mod logged;
pub mod purge;

pub use history::{HistoryError, Installed};
