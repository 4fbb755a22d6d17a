//! The client side of an attested connection: HTTP/1.1 over TLS 1.3 to a peer whose key is in
//! hardware evidence.
//!
//! The peer's certificate is accepted on *proof of possession* alone ([`tls`]): its name, chain and
//! dates are not checked. Only the key matters, and a key is trusted only if an
//! attestation report lists it (ACI/1 §1.1, §3.1). So a connection passes through types:
//! [`ObservedConnection`] has read the peer's key and can do nothing but fetch a report;
//! for an [`AttestedConnection`] that report was accepted for exactly this key; a [`Lease`] on it sends
//! a request. Nothing is sent to a peer, except the report request itself, before
//! its key is trusted.
//!
//! [`AttestedChannel`] does all of that for one origin: a bounded pool of connections, and the set of
//! keys that are trusted behind it (several replicas may answer at one address, each with its own
//! key). Refused: TLS 1.2, resumed sessions, early data, redirects, reports over 4 MiB.
//!
//! The connections and their pool are in [`transport`], which the gateway also uses for peers that are not attested.

#![warn(unreachable_pub)]

mod channel;
mod clock;
mod connection;
mod dial;
mod error;
mod lease;
mod lock;
mod origin;
mod peers;
mod report;
mod settings;
mod task;
mod tls;
pub mod transport;

pub use channel::{Accept, AttestedChannel};
pub use clock::{Clock, Moment, SystemClock};
pub use connection::{AttestedConnection, ObservedConnection};
pub use dial::Dialer;
pub use error::{ChannelError, NotSent, SendError, Stage};
pub use lease::{AttestedBody, Lease};
pub use origin::{Origin, OriginError};
pub use report::MAX_REPORT;
pub use settings::{Limits, Timeouts, Trust};
pub use task::OwnedTask;
pub use transport::tcp::{DialError, Dialed, Resolve, Resolving, TcpDialer};
