//! Receipts: a signed record of each request with hashes, names and times, never a body (ACI §7).
//!
//! A [`ReceiptBuilder`] accompanies a request from its admission and stores exactly one receipt: at the end of the response,
//! on refusal, when the upstream fails, and when the client disconnects and everything is dropped. The receipt can be
//! fetched before the last byte of the response is handed to the connection.
//!
//! `response.returned` hashes the bytes that were handed to the connection; for an interrupted response, those that the
//! connection has written. The event `sealgate.response.incomplete` gives the reason of an interruption; a receipt without
//! it is for a complete response.

mod builder;
mod cache;
mod ending;
mod store;

pub(crate) use builder::ReceiptBuilder;
pub use builder::RequestServices;
pub(crate) use ending::{Ending, Interruption};
pub use store::{FoundReceipt, ReceiptStore};
