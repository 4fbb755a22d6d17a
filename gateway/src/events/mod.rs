//! Everything this service ever says in its log.
//!
//! The set is closed: an [`Event`] has a variant for each thing worth saying, and its fields are numbers, digests,
//! enums and operator-chosen names. There is no message to fill in, so nothing a user or an upstream said can end
//! up here. Libraries log nothing: no subscriber is installed for them.

mod write;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};

use attest_core::{SessionId, Sha256Digest};

use crate::config::{Name, Problem};
use crate::hardening::Facts;
use crate::route::RouteError;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Format {
    Text = 0,
    Json = 1,
}

impl Format {
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::Json => "json",
        }
    }
}

/// One thing worth saying.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The service accepts connections.
    Listening {
        address: SocketAddr,
        epoch: u64,
        keyset: Sha256Digest,
    },
    /// What was observed of the process before it serves.
    Hardened {
        facts: Facts,
    },
    MetricsListening {
        address: SocketAddr,
    },
    EpochBegan {
        epoch: u64,
        keyset: Sha256Digest,
        config: Sha256Digest,
        retention: Sha256Digest,
        reason: EpochReason,
    },
    /// A new epoch could not begin; the one before stays in force.
    EpochKept {
        epoch: u64,
        reason: EpochReason,
        failure: EpochFailure,
    },
    /// What is wrong with a new configuration, one problem a line. The words are ours and the operator's.
    ConfigProblem {
        problem: Problem,
    },
    /// A model of a new configuration that cannot be routed.
    RouteProblem {
        error: RouteError,
    },
    /// A connection of this epoch did not finish in time and was cut off.
    DrainCut {
        epoch: u64,
    },
    AcceptFailed {
        code: Option<i32>,
    },
    UpstreamVerified {
        upstream: Name,
        session: SessionId,
    },
    UpstreamRefused {
        upstream: Name,
        failure: UpstreamFailure,
        check: Option<&'static str>,
    },
    AttestationFailed {
        failure: AttestationFailure,
    },
    CollateralMissing,
    LedgerFailed {
        what: LedgerWork,
    },
    KeysReloaded {
        active: u64,
    },
    /// A task failed in a way its author thought impossible.
    Panicked {
        room: Room,
    },
    Stopping,
    /// Connections were still open when the time to drain was over.
    StoppedShort {
        connections: u64,
    },
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochReason {
    Start,
    Reload,
    Expiry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochFailure {
    /// The configuration has problems, listed in the lines before.
    Config,
    /// The configuration changes something that only a restart can change.
    RestartNeeded(Fixed),
    Routes,
    Keys,
    Ledger,
}

/// What only a restart can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixed {
    Listen,
    StateDir,
    Tee,
    Metrics,
    Receipts,
    Hardening,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFailure {
    Unreachable,
    Timeout,
    Tls,
    Report,
    /// Evidence was judged and not accepted; `check` names the first check that failed.
    Rejected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttestationFailure {
    Hardware,
    Worker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerWork {
    Commit,
    Purge,
    Keys,
    Audit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Listen,
    Relay,
    Ledger,
}

static FORMAT: AtomicU8 = AtomicU8::new(Format::Text as u8);

/// Chooses how lines look from now on.
pub fn set_format(format: Format) {
    FORMAT.store(format as u8, Ordering::Relaxed);
}

/// Says it, on standard error.
pub fn emit(event: Event) {
    let format = if FORMAT.load(Ordering::Relaxed) == Format::Json as u8 {
        Format::Json
    } else {
        Format::Text
    };
    write::line(&event, format);
}
