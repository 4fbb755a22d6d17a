//! The databases of the service: [`ledger`] stores usage rows, receipts, sessions, keys and retention policies, [`audit`]
//! stores the transparency log, [`sqlite`] opens and checks both files. [`StoreError`] says why one of them failed.
//!
//! Nothing in here can name a prompt or open a sealed record.

pub mod audit;
mod error;
pub mod ledger;
pub mod sqlite;

pub use error::{Altered, DatabaseName, StoreError};
