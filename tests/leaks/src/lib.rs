//! A search for copies of prompts and answers that the data path leaves behind.
//!
//! Real processes are driven over the network with prompts and answers that repeat a canary every
//! 63 bytes. When an exchange is over and its connections are still open, all readable memory of
//! each process is searched for the canaries in every form they could have taken. Nothing may be
//! left a second later. The same traffic through a build whose memory is not wiped shows that the
//! search finds what is there.
//!
//! [`outputs`] drives the same traffic at the most verbose log level, and searches what the processes
//! gave away instead of what they hold: logs, files, metrics, telemetry, errors, receipts, sessions.
//!
//! Not searched: the engine and the hunting process itself, the kernel's socket buffers, registers.

pub mod bodies;
pub mod canary;
pub mod collector;
pub mod disk;
pub mod http2;
pub mod hunt;
pub mod keeping;
pub mod memory;
pub mod outputs;
pub mod panics;
pub mod scenario;
pub mod shutdown;
pub mod stage;
pub mod table;
pub mod wire;
