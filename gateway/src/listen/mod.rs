//! Connections: TLS 1.3, HTTP/1.1, each bound to the epoch it was opened under.
//!
//! A new epoch takes effect for the next accepted connection. Connections of the old one finish the response they are
//! in and are closed; whatever has not finished in time is cut off. There is no plain HTTP and no other TLS version.

mod accept;
mod connection;
mod drain;
mod framing;
mod plain;

pub use accept::{Listener, accept};
pub use plain::{METRICS_PATHS, serve_metrics};
