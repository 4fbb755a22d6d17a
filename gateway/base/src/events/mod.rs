//! Log events: the closed set of everything that the service logs.
//!
//! An [`Event`] has a variant for each thing that is logged. Its fields are numbers, digests, enums and operator-chosen
//! names. There is no free-text message, so no text of a user or an upstream can reach the log. Log lines, spans,
//! metrics and rows are made of the same values.
//!
//! Events leave the process through `tracing`, by one layer that passes nothing else (`sink`): events of
//! libraries are dropped at every log level. `log_writer` makes lines of them, off the path of requests.

mod line;
mod log_writer;
mod names;
mod panics;
mod record;
mod sink;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use attest_core::{SessionId, Sha256Digest, UnixTime};

use crate::config::Problem;
use crate::errors::HeadFault;
use crate::metering::{RowRetention, UsageRow};
use crate::quota::{Amount, Scope};
use crate::request::Endpoint;
use crate::request::Name;
use crate::store_failure::StoreFailure;
use harden::{Fact, Facts};

pub use crate::config::{Format, Level};
pub use panics::install_panic_hook;
pub(crate) use record::{Record, Value};
pub use sink::{EventSink, install, set_format_and_level};

/// A log event.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The service accepts connections.
    Listening {
        address: SocketAddr,
        epoch: u64,
        keyset: Sha256Digest,
    },
    /// Restrictions of the process as observed before it serves, and those that the configuration requires.
    Hardened {
        facts: Facts,
        required: Vec<Fact>,
    },
    /// `[limits]` need more file descriptors than the process may have; only `requests` are admitted at a time.
    DescriptorsShort {
        limit: u64,
        needed: u64,
        requests: usize,
    },
    /// The resolver process has ended. From now on this process resolves names, until the resolver's files are replaced.
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
    /// A new epoch could not begin; the previous one stays active.
    EpochKept {
        epoch: u64,
        reason: EpochReason,
        failure: EpochFailure,
        file: PathBuf,
        /// The first problem of the configuration.
        problem: Option<Problem>,
    },
    /// A problem of a new configuration, one event each. The text is ours and the operator's.
    ConfigProblem {
        file: PathBuf,
        problem: Problem,
    },
    /// A setting that is valid but probably not intended.
    ConfigWarning {
        file: PathBuf,
        problem: Problem,
    },
    /// A connection of this epoch did not finish within the drain timeout and was closed.
    DrainCut {
        epoch: u64,
    },
    AcceptFailed {
        code: Option<i32>,
    },
    /// Unauthenticated connections were closed to accept others; counted since the last event of this kind.
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
    /// An operation of the ledger or the audit log failed. Has SQLite's code and message, never a statement or a value.
    LedgerFailed {
        what: LedgerWork,
        failure: StoreFailure,
    },
    /// That operation succeeded again.
    LedgerRecovered {
        what: LedgerWork,
        after: Duration,
    },
    /// Rows were dropped: the queue was full, or the database refused these rows and accepted others.
    RowsLost {
        usage: u64,
        receipts: u64,
        sessions: u64,
    },
    /// The integrity check at the start reached its time limit before the end of the database.
    DatabaseNotChecked {
        database: &'static str,
    },
    /// A start removed entries of the audit log that no head included.
    AuditEntriesRemoved {
        count: u64,
    },
    /// Rows and log entries that could not be written before the service stopped.
    StoppedUnwritten {
        usage: u64,
        receipts: u64,
        sessions: u64,
        log_entries: u64,
    },
    /// Expired rows and records were deleted.
    Purged {
        usage: u64,
        receipts: u64,
        sessions: u64,
        records: u64,
    },
    /// The system clock contradicts the stored time. Expiry follows the monotonic clock from the stored time on.
    ClockDoubted {
        ahead: bool,
        by: Duration,
    },
    /// A budget has passed its soft threshold, for the first time in its window.
    BudgetThreshold {
        budget: Name,
        soft_percent: u8,
        spent: Amount,
        limit: Amount,
        resets_at: Option<UnixTime>,
    },
    /// A budget had no room for a request, for the first time in its window.
    BudgetExhausted {
        budget: Name,
        resets_at: Option<UnixTime>,
    },
    /// A credit did not suffice for a request, for the first time since it was granted.
    CreditExhausted {
        scope: Scope,
    },
    KeysReloaded {
        active: u64,
    },
    /// An issuer's keys changed, or could be fetched again. `ignored` keys are of kinds that are not used here.
    IdentityKeysLoaded {
        issuer: Name,
        keys: u64,
        ignored: u64,
    },
    /// An issuer's keys could not be fetched; reported for the first of consecutive failures.
    IdentityKeysFailed {
        issuer: Name,
        failure: IdentityFailure,
    },
    /// An inference request has ended: the same values as its row. Without `retention` nothing may be kept of it: it is
    /// counted, but no log line, span or row is made.
    RequestFinished {
        usage: Arc<UsageRow>,
        retention: Option<RowRetention>,
    },
    /// An inference request was refused before it was admitted.
    RequestRefused {
        endpoint: Endpoint,
        status: u16,
        kind: &'static str,
    },
    /// So many lines of single requests and connections were dropped: they could not be written as fast as they came.
    LogLinesLost {
        lines: u64,
    },
    /// A request's head was refused; its body was not read.
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
    /// The collector refused a batch, or events did not fit into the queue.
    TelemetryFailed {
        failure: TelemetryFailure,
        lost: u64,
    },
    /// A task panicked.
    Panicked {
        component: Component,
    },
    /// The source location of a panic. Its message may contain anything and is not logged.
    PanickedAt {
        file: String,
        line: u32,
    },
    Stopping,
    /// Connections were still open at the end of the drain timeout.
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
    /// The configuration has problems, which were logged before.
    Config,
    /// The configuration changes something that only a restart can change.
    RestartNeeded(StartupSetting),
    Routes,
    Keys,
    Ledger,
    /// The retention policy in the ledger or the configuration is not valid.
    Retention,
}

/// A setting that needs a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartupSetting {
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
    /// The queue of events was full.
    Overrun,
}

/// Why an issuer's keys could not be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityFailure {
    Unreachable,
    Timeout,
    /// Another status than 200.
    Status,
    TooLarge,
    /// The discovery document is not one, or of another issuer.
    Discovery,
    /// The key set is not one, has too many keys, or none that can be used.
    KeySet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFailure {
    Unreachable,
    Timeout,
    Tls,
    Report,
    /// It has too many report requests.
    Busy,
    /// Evidence was appraised and rejected; `check` names the first check that failed.
    Rejected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttestationFailure {
    Hardware,
    /// A GPU did not answer, or left its confidential mode.
    Devices,
    EventLog,
    /// The hardware did not answer in time.
    Late,
    Worker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerWork {
    Commit,
    /// A single row that the database refuses while it accepts others.
    Row,
    Purge,
    Keys,
    Audit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    Listen,
    Relay,
    Ledger,
}

/// Emits an event to every installed [`EventSink`].
pub fn emit(event: Event) {
    sink::dispatch(event);
}
