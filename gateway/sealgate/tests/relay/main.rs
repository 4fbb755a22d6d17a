//! From an admitted request to its upstream and back: failover, streams, receipts. Most of these tests call the relay
//! directly, without a listener.

mod failures;
mod streaming;
mod support;
mod upstreams;
mod verified_upstreams;
mod wire;
