//! A local OpenAI-compatible endpoint in front of an attested service.
//!
//! Nothing is sent to the service on a connection whose key was not verified on that same
//! connection; a new key is verified before it is used. Requests and responses
//! are passed on byte for byte, in memory only. What cannot be verified is refused, with an error in OpenAI's form.

mod fetch;
mod forward;
mod http_rules;
mod journal;
mod receipt_archive;
mod receipts;
mod refusal;
mod request_body;
mod request_facts;
mod response_body;
mod serve;
mod start;
mod state;
mod status;
mod upstream_models;

pub use journal::{Journal, MemoryJournal};
pub use receipt_archive::ReceiptArchive;
pub use serve::serve;
pub use start::{ProxyArgs, harden, run};
pub use state::{Options, Proxy};
pub use upstream_models::Upstreams;
