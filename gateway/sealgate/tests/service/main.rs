//! The whole service in this process, over TLS, with a platform and an engine of the test's choice.

mod admission;
mod attestation;
mod command_line;
mod epochs;
mod limits;
mod retention;
mod support;
