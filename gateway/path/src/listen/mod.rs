//! Client connections: TLS 1.3 and HTTP/1.1, each bound to the epoch that it was opened under.
//!
//! A new epoch takes effect with the next accepted connection. Connections of the old one finish their current response and
//! are closed; those that do not finish within the drain timeout are dropped. There is no other TLS version, and plain HTTP
//! only for health and metrics.

mod accept;
mod connection;
mod http1;
mod plain;
mod requests;
mod timed_writes;

pub use accept::{Listener, accept};
pub use connection::Authentication;

pub use plain::{METRICS_PATHS, bind_plain, serve_health, serve_metrics};
