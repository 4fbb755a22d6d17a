//! The Sealgate gateway as a program: its command line ([`cli`]) and the service from its configuration to its last
//! connection ([`serve`]).
//!
//! A request passes through modules of [`gateway_path`] and `gateway_upstream`, each of which gives the next one a value:
//! `listen → http → admit → route → channel → relay → receipt → ledger`.

pub mod cli;
mod serve;

pub use serve::{Controls, ServeError, serve, serve_with};
