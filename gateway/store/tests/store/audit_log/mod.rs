//! The audit log's writer: what it guarantees when it is killed, how it detects a changed database, and what it
//! publishes.

mod altered;
mod cost;
mod crashes;
mod opening;
mod receipts;
mod support;
mod tampered;
mod unlogged;
mod writing;
