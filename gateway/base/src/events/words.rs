//! What things are called in records.

use super::{
    AttestationFailure, EpochFailure, EpochReason, Fixed, LedgerWork, Room, TelemetryFailure,
    UpstreamFailure,
};

impl EpochReason {
    pub(super) fn word(self) -> &'static str {
        match self {
            EpochReason::Start => "start",
            EpochReason::Reload => "reload",
            EpochReason::Expiry => "expiry",
            EpochReason::Clock => "clock",
            EpochReason::Retention => "retention",
        }
    }
}

impl EpochFailure {
    pub fn word(self) -> &'static str {
        match self {
            EpochFailure::Config => "config",
            EpochFailure::RestartNeeded(Fixed::Listen) => "server.listen_needs_restart",
            EpochFailure::RestartNeeded(Fixed::StateDir) => "server.state_dir_needs_restart",
            EpochFailure::RestartNeeded(Fixed::Tee) => "tee_needs_restart",
            EpochFailure::RestartNeeded(Fixed::Admin) => "admin_needs_restart",
            EpochFailure::RestartNeeded(Fixed::Health) => "health_needs_restart",
            EpochFailure::RestartNeeded(Fixed::Metrics) => "metrics_needs_restart",
            EpochFailure::RestartNeeded(Fixed::Receipts) => "receipts_needs_restart",
            EpochFailure::RestartNeeded(Fixed::Ledger) => "ledger_needs_restart",
            EpochFailure::RestartNeeded(Fixed::Telemetry) => "telemetry_needs_restart",
            EpochFailure::RestartNeeded(Fixed::Hardening) => "hardening_needs_restart",
            EpochFailure::Routes => "routes",
            EpochFailure::Keys => "keys",
            EpochFailure::Ledger => "ledger",
            EpochFailure::Retention => "retention",
        }
    }
}

impl Fixed {
    /// The key or the table of the configuration.
    pub fn key(self) -> &'static str {
        match self {
            Fixed::Listen => "server.listen",
            Fixed::StateDir => "server.state_dir",
            Fixed::Tee => "tee",
            Fixed::Admin => "admin",
            Fixed::Health => "health",
            Fixed::Metrics => "metrics",
            Fixed::Receipts => "receipts",
            Fixed::Ledger => "ledger",
            Fixed::Telemetry => "telemetry",
            Fixed::Hardening => "hardening",
        }
    }
}

impl UpstreamFailure {
    pub(super) fn word(self) -> &'static str {
        match self {
            UpstreamFailure::Unreachable => "unreachable",
            UpstreamFailure::Timeout => "timeout",
            UpstreamFailure::Tls => "tls",
            UpstreamFailure::Report => "report",
            UpstreamFailure::Busy => "busy",
            UpstreamFailure::Rejected => "rejected",
        }
    }
}

impl AttestationFailure {
    pub(super) fn word(self) -> &'static str {
        match self {
            AttestationFailure::Hardware => "hardware",
            AttestationFailure::Devices => "devices",
            AttestationFailure::EventLog => "event_log",
            AttestationFailure::Late => "late",
            AttestationFailure::Worker => "worker",
        }
    }
}

impl LedgerWork {
    pub(super) fn word(self) -> &'static str {
        match self {
            LedgerWork::Commit => "commit",
            LedgerWork::Row => "row",
            LedgerWork::Purge => "purge",
            LedgerWork::Keys => "keys",
            LedgerWork::Audit => "audit",
        }
    }
}

impl Room {
    pub(super) fn word(self) -> &'static str {
        match self {
            Room::Listen => "listen",
            Room::Relay => "relay",
            Room::Ledger => "ledger",
        }
    }
}

impl TelemetryFailure {
    pub(super) fn word(self) -> &'static str {
        match self {
            TelemetryFailure::Unreachable => "unreachable",
            TelemetryFailure::Timeout => "timeout",
            TelemetryFailure::Refused => "refused",
            TelemetryFailure::Overrun => "overrun",
        }
    }
}
