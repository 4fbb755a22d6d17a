//! What is said about each request, signed: hashes, names and times, never a body (ACI §7).
//!
//! A [`Recorder`] goes with a request from its admission on and finalises exactly once, whatever happens: at the end
//! of the response, on refusal, when the upstream breaks off, and when the caller hangs up and everything is dropped.
//! The receipt is findable before the last byte of the response is handed to the connection.
//!
//! `response.returned` hashes the bytes handed to the connection; of a response that was cut short, those that the
//! connection has written. If it was cut short, an event of type `sealgate.response.incomplete` says why; a receipt
//! without it is for a whole response.

mod ending;
mod recorder;
mod shelf;
mod store;

pub use ending::{CutShort, Ending};
pub use recorder::{Recorder, RequestServices};
pub use shelf::SHELF_LIFE;
pub use store::Store;
