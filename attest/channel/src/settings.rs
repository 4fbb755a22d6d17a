//! The settings of a channel: how peers are verified, timeouts, and limits.

use std::time::Duration;

use attest_core::{AttestationPolicy, Collateral, Roots};

/// How peers are verified and appraised. Shared by every channel of one attestation policy.
pub struct Trust {
    pub roots: Roots,
    pub policy: AttestationPolicy,
    /// Used for reports that carry no collateral.
    pub collateral: Option<Collateral>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For name resolution, TCP and TLS together.
    pub connect: Duration,
    /// For one attestation report, from the request to its last byte. Hardware quotes are slow.
    pub report: Duration,
    /// How long an idle connection is kept.
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
    /// Idle connections kept per origin; beyond that, the one that was idle longest is closed.
    pub idle_connections: usize,
    /// Keys trusted at one time per origin; beyond that, the one that expires first is removed.
    pub trusted_keys: usize,
    /// How long a key whose evidence was rejected is refused without verifying it again.
    pub refusal_memory: Duration,
    /// How many connections one lease may open in search of a peer that its caller accepts.
    pub dials_per_lease: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            idle_connections: 256,
            trusted_keys: 256,
            refusal_memory: Duration::from_secs(2),
            dials_per_lease: 8,
        }
    }
}
