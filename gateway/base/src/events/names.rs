//! The names of enum values in records.

use super::{
    AttestationFailure, Component, EpochFailure, EpochReason, IdentityFailure, LedgerWork,
    StartupSetting, TelemetryFailure, UpstreamFailure,
};

impl EpochReason {
    pub(super) fn as_str(self) -> &'static str {
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
    pub fn as_str(self) -> &'static str {
        match self {
            EpochFailure::Config => "config",
            EpochFailure::RestartNeeded(StartupSetting::Listen) => "server.listen_needs_restart",
            EpochFailure::RestartNeeded(StartupSetting::StateDir) => {
                "server.state_dir_needs_restart"
            }
            EpochFailure::RestartNeeded(StartupSetting::Tee) => "tee_needs_restart",
            EpochFailure::RestartNeeded(StartupSetting::Admin) => "admin_needs_restart",
            EpochFailure::RestartNeeded(StartupSetting::Health) => "health_needs_restart",
            EpochFailure::RestartNeeded(StartupSetting::Metrics) => "metrics_needs_restart",
            EpochFailure::RestartNeeded(StartupSetting::Receipts) => "receipts_needs_restart",
            EpochFailure::RestartNeeded(StartupSetting::Ledger) => "ledger_needs_restart",
            EpochFailure::RestartNeeded(StartupSetting::Telemetry) => "telemetry_needs_restart",
            EpochFailure::RestartNeeded(StartupSetting::Hardening) => "hardening_needs_restart",
            EpochFailure::Routes => "routes",
            EpochFailure::Keys => "keys",
            EpochFailure::Ledger => "ledger",
            EpochFailure::Retention => "retention",
        }
    }
}

impl StartupSetting {
    /// The key or the table of the configuration.
    pub fn key(self) -> &'static str {
        match self {
            StartupSetting::Listen => "server.listen",
            StartupSetting::StateDir => "server.state_dir",
            StartupSetting::Tee => "tee",
            StartupSetting::Admin => "admin",
            StartupSetting::Health => "health",
            StartupSetting::Metrics => "metrics",
            StartupSetting::Receipts => "receipts",
            StartupSetting::Ledger => "ledger",
            StartupSetting::Telemetry => "telemetry",
            StartupSetting::Hardening => "hardening",
        }
    }
}

impl IdentityFailure {
    pub const fn as_str(self) -> &'static str {
        match self {
            IdentityFailure::Unreachable => "unreachable",
            IdentityFailure::Timeout => "timeout",
            IdentityFailure::Status => "status",
            IdentityFailure::TooLarge => "too_large",
            IdentityFailure::Discovery => "discovery",
            IdentityFailure::KeySet => "key_set",
        }
    }
}

impl UpstreamFailure {
    pub(super) fn as_str(self) -> &'static str {
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
    pub(super) fn as_str(self) -> &'static str {
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
    pub(super) fn as_str(self) -> &'static str {
        match self {
            LedgerWork::Commit => "commit",
            LedgerWork::Row => "row",
            LedgerWork::Purge => "purge",
            LedgerWork::Keys => "keys",
            LedgerWork::Audit => "audit",
        }
    }
}

impl Component {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Component::Listen => "listen",
            Component::Relay => "relay",
            Component::Ledger => "ledger",
        }
    }
}

impl TelemetryFailure {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            TelemetryFailure::Unreachable => "unreachable",
            TelemetryFailure::Timeout => "timeout",
            TelemetryFailure::Refused => "refused",
            TelemetryFailure::Overrun => "overrun",
        }
    }
}
