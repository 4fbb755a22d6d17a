//! The databases of the service: [`ledger`] keeps usage rows, receipts, sessions, keys and retention policies, [`audit`]
//! the transparency log, [`sqlite`] opens and checks both.
//!
//! Nothing in here can name a prompt or open a sealed record.

pub mod audit;
pub mod ledger;
pub mod sqlite;
