//! The client side of an attested connection: HTTP/1.1 over TLS 1.3 to a peer whose key the
//! hardware vouches for.
//!
//! The peer's certificate is accepted on *proof of possession* alone ([`tls`]): no name, no chain,
//! no date in it means anything here. What counts is the key, and a key counts only when an
//! attestation report lists it (ACI/1 §1.1, §3.1). So a connection passes through types:
//! [`ObservedConnection`] knows which key it speaks to and can do nothing but fetch a report;
//! [`AttestedConnection`] has had that report accepted for exactly this key; a [`Lease`] on it sends
//! a request. Nothing leaves this process towards a peer, save the report request itself, before
//! its key is trusted.
//!
//! [`AttestedChannel`] is all of that for one origin: a bounded pool of connections, and the set of
//! keys found trustworthy behind it (several replicas may answer at one address, each with a key of
//! its own). Refused: TLS 1.2, resumed sessions, early data, redirects, reports over 4 MiB.

mod body;
mod channel;
mod clock;
mod connection;
mod dial;
mod error;
mod http1;
mod lease;
mod origin;
mod peers;
mod pool;
mod report;
mod settings;
mod tcp;
mod tls;

pub use body::{BodyError, LeasedBody};
pub use channel::{Accept, AttestedChannel};
pub use clock::{Clock, Moment, SystemClock, TlsClock};
pub use connection::{AttestedConnection, ObservedConnection};
pub use dial::Dialer;
pub use error::{ChannelError, NotSent, SendError, Stage};
pub use lease::Lease;
pub use origin::{Origin, OriginError};
pub use report::MAX_REPORT;
pub use settings::{Limits, Timeouts, Trust};
pub use tcp::{DialError, Dialed, Resolve, Resolving, SystemResolver, TcpDialer};
