//! What a channel is told at its birth: whom to trust, how long to wait, how much to hold.

use std::time::Duration;

use attest_core::{AttestationPolicy, Collateral, Roots};

/// How peers are judged. Shared by every channel of one attestation policy.
pub struct Trust {
    pub roots: Roots,
    pub policy: AttestationPolicy,
    /// Used for reports that carry no collateral of their own.
    pub collateral: Option<Collateral>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For name resolution, TCP and TLS together.
    pub connect: Duration,
    /// For one attestation report, from asking to its last byte. Hardware quotes are slow.
    pub report: Duration,
    /// How long an unused connection is kept.
    pub idle_pool: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(5),
            report: Duration::from_secs(30),
            idle_pool: Duration::from_secs(60),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Unused connections kept per origin; further ones are closed when their response ends.
    pub idle_connections: usize,
    /// Keys trusted at one time per origin; the one that expires first makes room.
    pub trusted_keys: usize,
    /// HTTP/1 read buffer of one connection; less than 72 KiB counts as that. Each read is into a
    /// buffer of this size, which is scrubbed whole when the connection goes idle.
    pub buffer: usize,
    /// For how long a key whose evidence was rejected is refused without asking again.
    pub refusal_memory: Duration,
    /// How many connections one lease may open in search of a peer that its caller accepts.
    pub dials_per_lease: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            idle_connections: 64,
            trusted_keys: 256,
            buffer: 8 * 1024,
            refusal_memory: Duration::from_secs(2),
            dials_per_lease: 8,
        }
    }
}
