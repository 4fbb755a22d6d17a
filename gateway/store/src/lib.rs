//! The databases of the service: [`ledger`] stores usage rows, receipts, sessions, keys and retention policies, [`audit`]
//! stores the transparency log, [`sqlite`] opens and checks both files.
//!
//! Nothing in here can name a prompt or open a sealed record.

pub mod audit;
pub mod ledger;
pub mod sqlite;
