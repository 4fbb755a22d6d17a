//! Connections: TLS 1.3, HTTP/1.1, each bound to the epoch it was opened under.
//!
//! A new epoch takes effect for the next accepted connection. Connections of the old one finish the response they are
//! in and are closed; whatever has not finished in time is cut off. There is no other TLS version, and plain HTTP
//! for health and metrics alone.

mod accept;
mod connection;
mod framing;
mod plain;
mod timed_writes;

pub use accept::{Listener, accept};
pub use connection::Authentication;

pub use plain::{METRICS_PATHS, bind_plain, serve_health, serve_metrics};
