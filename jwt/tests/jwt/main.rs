//! Tokens of a mock identity provider: what is accepted, and every reason to refuse one.

mod algorithms;
mod claims;
mod flips;
mod headers;
mod keys;
mod support;
