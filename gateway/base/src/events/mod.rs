//! Everything this service ever says.
//!
//! The set is closed: an [`Event`] has a variant for each thing worth saying, and its fields are numbers, digests,
//! enums and operator-chosen names. There is no message to fill in, so nothing a user or an upstream said can end
//! up here. Log lines, spans, metrics and rows are made of the same values.
//!
//! Events leave through `tracing`, by one layer that lets nothing else out ([`Outlet`]): what libraries would log is
//! dropped whole, however verbose the log is set.

mod line;
mod outlet;
mod panics;
mod record;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use attest_core::{SessionId, Sha256Digest};

use crate::config::Problem;
use crate::errors::HeadFault;
use crate::metering::{Keep, UsageRow};
use crate::request::Endpoint;
use crate::request::Name;
use crate::store_failure::StoreFailure;
use harden::{Fact, Facts};

pub use crate::config::{Format, Level};
pub use outlet::{Lines, Listener, Outlet, open, tune};
pub use panics::speak_of_panics;
pub(crate) use record::{Record, Value};

/// One thing worth saying.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The service accepts connections.
    Listening {
        address: SocketAddr,
        epoch: u64,
        keyset: Sha256Digest,
    },
    /// What was observed of the process before it serves, and what the configuration would not serve without.
    Hardened {
        facts: Facts,
        required: Vec<Fact>,
    },
    /// `[limits]` need more descriptors than the process may have; as many requests as this are admitted at a time.
    DescriptorsShort {
        limit: u64,
        needed: u64,
        requests: usize,
    },
    /// The process that resolved names has ended. This one resolves them from here on, until the resolver's files are
    /// replaced.
    ResolverEnded,
    MetricsListening {
        address: SocketAddr,
    },
    AdminListening {
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
        file: PathBuf,
        /// Where in the configuration it is to be mended: the first place, where there are several.
        problem: Option<Problem>,
    },
    /// What is wrong with a new configuration, one problem a line. The words are ours and the operator's.
    ConfigProblem {
        file: PathBuf,
        problem: Problem,
    },
    /// What is served and may not be what was meant.
    ConfigWarning {
        file: PathBuf,
        problem: Problem,
    },
    /// A connection of this epoch did not finish in time and was cut off.
    DrainCut {
        epoch: u64,
    },
    AcceptFailed {
        code: Option<i32>,
    },
    /// Connections that had not authenticated a request lost their places to others, so many since this was logged.
    ConnectionsEvicted {
        connections: u64,
    },
    HealthListening {
        address: SocketAddr,
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
    /// The ledger or the audit log did not do its work; SQLite's code and words for it, never a statement or a value.
    LedgerFailed {
        what: LedgerWork,
        failure: StoreFailure,
    },
    /// It does that work again.
    LedgerRecovered {
        what: LedgerWork,
        after: Duration,
    },
    /// Rows were dropped: there were too many that waited, or the database refused these and accepted others.
    RowsLost {
        usage: u64,
        receipts: u64,
        sessions: u64,
    },
    /// A start did not check all of a database: that would have taken too long.
    DatabaseNotChecked {
        database: &'static str,
    },
    /// The service stopped, and this could not be written in time.
    StoppedUnwritten {
        usage: u64,
        receipts: u64,
        sessions: u64,
        log_entries: u64,
    },
    /// What had its time is gone.
    Purged {
        usage: u64,
        receipts: u64,
        sessions: u64,
        records: u64,
    },
    /// The system's clock is not believed; things expire by the time that has passed instead.
    ClockDoubted {
        ahead: bool,
        by: Duration,
    },
    KeysReloaded {
        active: u64,
    },
    /// An inference request has ended: the same values as its row. Where nothing is kept of it, it is for counting
    /// and no line, span or row is made of it.
    RequestFinished {
        usage: Box<UsageRow>,
        keep: Option<Keep>,
    },
    /// An inference request was refused before it was admitted.
    RequestRefused {
        endpoint: Endpoint,
        status: u16,
        kind: &'static str,
    },
    /// A request's head was refused, and what it announced was not read.
    HeadRefused {
        epoch: u64,
        fault: HeadFault,
    },
    ConnectionOpened {
        epoch: u64,
    },
    HandshakeFailed {
        epoch: u64,
    },
    ConnectionClosed {
        epoch: u64,
    },
    /// A batch of telemetry was not taken, or events were not put into one.
    TelemetryFailed {
        failure: TelemetryFailure,
        lost: u64,
    },
    /// A task failed in a way its author thought impossible.
    Panicked {
        room: Room,
    },
    /// Where in the source that was. What it had to say about it may hold anything, and is not told.
    PanickedAt {
        file: String,
        line: u32,
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
    /// The system's clock was set, so that the epoch's dates were wrong.
    Clock,
    /// Another retention policy was set.
    Retention,
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
    /// The retention policy in the ledger or the configuration is not one to act on.
    Retention,
}

/// What only a restart can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixed {
    Listen,
    StateDir,
    Tee,
    Health,
    Metrics,
    Admin,
    Receipts,
    Ledger,
    Hardening,
    Telemetry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TelemetryFailure {
    Unreachable,
    Timeout,
    /// The collector answered with another status than 2xx.
    Refused,
    /// More events than could be sent.
    Overrun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFailure {
    Unreachable,
    Timeout,
    Tls,
    Report,
    /// It is busy making reports.
    Busy,
    /// Evidence was judged and not accepted; `check` names the first check that failed.
    Rejected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttestationFailure {
    Hardware,
    /// A GPU did not answer, or is not in its mode any more.
    Devices,
    EventLog,
    /// The hardware did not answer in time.
    Late,
    Worker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerWork {
    Commit,
    /// A single row, which the database refuses where it accepts others.
    Row,
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

/// Says it to whoever listens.
pub fn emit(event: Event) {
    outlet::hand_over(event);
}
