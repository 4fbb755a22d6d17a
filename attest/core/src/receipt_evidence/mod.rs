//! What proves a receipt: its signature, or the audit log (profile §7, ADR 25).
//!
//! This stands above the receipt's format, which knows no log, and above the log, which knows receipts by their
//! digests.

mod logged;
mod signing;

pub use logged::{LoggedReceipt, LoggedReceiptError, ReceiptDocument};
pub use signing::signs_receipts_on_fetch;
