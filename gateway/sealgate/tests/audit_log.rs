//! The audit log's writer: what it promises when it is killed, what it notices when its database was changed behind it,
//! and what it shows.

#[path = "audit/altered.rs"]
mod altered;
#[path = "audit/crashes.rs"]
mod crashes;
#[path = "audit/opening.rs"]
mod opening;
#[path = "audit/support.rs"]
mod support;
#[path = "audit/unlogged.rs"]
mod unlogged;
#[path = "audit/writing.rs"]
mod writing;
