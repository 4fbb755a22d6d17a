//! From an admitted request to its upstream and back: failover, streams, receipts. Most of these tests call the relay
//! directly, without a listener.
//!
//! They test `gateway-path` and stand here because they need `testkit`: an epoch on its software platform, its engine, an
//! enclave behind it. `testkit` depends on this crate, so in `gateway-path` each run of its unit tests would first build
//! the whole program.

mod failures;
mod sealed;
mod streaming;
mod support;
mod upstreams;
mod verified_upstreams;
mod wire;
