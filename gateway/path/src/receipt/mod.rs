//! Receipts: a signed record of each request with hashes, names and times, never a body (ACI §7).
//!
//! An [`Unfinished`] receipt accompanies a request from its admission, in stages, and stores exactly one receipt: at the end of the response,
//! on refusal, when the upstream fails, and when the client disconnects and everything is dropped. The receipt can be
//! fetched before the last byte of the response is handed to the connection.
//!
//! `response.returned` hashes the bytes that were handed to the connection; for an interrupted response, those that the
//! connection has written. The event `sealgate.response.incomplete` gives the reason of an interruption; a receipt without
//! it is for a complete response.

mod attempts;
mod cache;
mod charge;
mod deferred;
mod ending;
mod exchange;
mod finished;
mod stages;
mod store;

pub(crate) use ending::{Ending, Interruption};
pub use exchange::RequestServices;
pub(crate) use stages::{Returning, Routed, Unfinished};
pub use store::{FoundReceipt, ReceiptStore};
