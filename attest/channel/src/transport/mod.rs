//! HTTP/1.1 connections and the pool that keeps them while they are idle: the same for every kind of peer.
//!
//! A [`Connection`] is driven by the task that uses it, so there is no task per connection. A [`Pool`] is generic over
//! [`KnownPeer`]: what was checked of a peer before its connection may carry a request. For an attested channel that is
//! the digest of the peer's key; its connections are leased only while this key is trusted.
//!
//! Nothing in here decides whether a peer may be sent a request. [`AttestedChannel`](crate::AttestedChannel) and the
//! gateway's connector do, before they put a connection into a pool.

mod body;
mod connection;
mod framing;
mod head;
mod pool;
mod request;
mod stream;
pub(crate) mod tcp;

pub use body::LeasedBody;
pub use connection::{Connection, ExchangeError, Unanswered};
pub use pool::{Choice, KnownPeer, Pool, PooledConnection};
pub use request::{OutgoingRequest, RequestHead};
pub use stream::{Destination, OpenError, Stream};
