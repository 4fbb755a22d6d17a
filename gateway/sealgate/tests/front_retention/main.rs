//! Retention, from outside the gateway: who changes it, what changes with it, and what is left of a request.

#[path = "../front_support/mod.rs"]
mod front_support;

mod changes;
mod names;
mod races;
