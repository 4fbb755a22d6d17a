//! Why a prompt cannot be sent to an enclave, and the reasons that receipts and logs show.

use attest_channel::{ChannelError, Stage};
use attest_core::CheckId;

use gateway_base::metering::Cause;

/// Why an enclave cannot be used. The prompt was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// The verdict refuses it; the check that failed, if one can be named.
    #[error("its evidence was not accepted: {}", check_name(*.0))]
    Rejected(Option<CheckId>),
    #[error("its evidence could not be obtained: {}", .0.reason())]
    Unavailable(EvidenceError),
    /// It is verified, but the client requires other sessions.
    #[error("none of its sessions is among those that the client accepts")]
    NotAmongPinned,
}

/// Why there is no evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceError {
    Address,
    Connection,
    ConnectTimeout,
    Tls,
    Report,
    ReportTimeout,
    /// It answered that it is busy making reports until there was no time left for another attempt.
    ReportBusy,
    /// Verification, or storing its session, failed on our side.
    Verdict,
}

impl EvidenceError {
    pub const fn reason(self) -> &'static str {
        match self {
            EvidenceError::Address => "name_not_resolved",
            EvidenceError::Connection => "connect_failed",
            EvidenceError::ConnectTimeout => "connect_timeout",
            EvidenceError::Tls => "tls_failed",
            EvidenceError::Report => "report_unavailable",
            EvidenceError::ReportTimeout => "report_timeout",
            EvidenceError::ReportBusy => "report_busy",
            EvidenceError::Verdict => "verification_incomplete",
        }
    }
}

impl NotVerified {
    /// The reason in receipts and logs: from a closed set, and `rejected:` with a check's id.
    pub fn reason(self) -> String {
        match self {
            NotVerified::Rejected(check) => format!("rejected:{}", check_name(check)),
            NotVerified::Unavailable(why) => why.reason().to_owned(),
            NotVerified::NotAmongPinned => "session_not_accepted".to_owned(),
        }
    }
}

impl NotVerified {
    pub const fn cause(self) -> Cause {
        match self {
            NotVerified::Unavailable(EvidenceError::Address) => Cause::Dns,
            NotVerified::Unavailable(EvidenceError::Connection) => Cause::Unreachable,
            NotVerified::Unavailable(EvidenceError::ConnectTimeout) => Cause::ConnectTimeout,
            NotVerified::Unavailable(EvidenceError::Tls) => Cause::Tls,
            NotVerified::Unavailable(
                EvidenceError::Report
                | EvidenceError::ReportBusy
                | EvidenceError::ReportTimeout
                | EvidenceError::Verdict,
            )
            | NotVerified::Rejected(_)
            | NotVerified::NotAmongPinned => Cause::NotVerified,
        }
    }

    /// Whether no connection was made, so that nothing was verified or refused.
    pub const fn is_unreachable(self) -> bool {
        matches!(
            self,
            NotVerified::Unavailable(
                EvidenceError::Address | EvidenceError::Connection | EvidenceError::ConnectTimeout
            )
        )
    }
}

impl From<ChannelError> for NotVerified {
    fn from(error: ChannelError) -> Self {
        NotVerified::Unavailable(match error {
            ChannelError::Rejected(verdict) => {
                return NotVerified::Rejected(verdict.main_obstacle().map(|(check, _)| check));
            }
            ChannelError::NoneAccepted => return NotVerified::NotAmongPinned,
            ChannelError::Resolve => EvidenceError::Address,
            ChannelError::Connect(_) => EvidenceError::Connection,
            ChannelError::Tls(_) => EvidenceError::Tls,
            ChannelError::Timeout {
                stage: Stage::Report,
            } => EvidenceError::ReportTimeout,
            ChannelError::Timeout { .. } => EvidenceError::ConnectTimeout,
            ChannelError::Busy { .. } => EvidenceError::ReportBusy,
            ChannelError::Http(_)
            | ChannelError::ReportStatus(_)
            | ChannelError::ReportTooLarge => EvidenceError::Report,
            ChannelError::NoRandomness | ChannelError::VerificationFailed => EvidenceError::Verdict,
        })
    }
}

/// The check's stable name, for logs, receipts and the audit log.
pub(super) fn check_name(rejected_by: Option<CheckId>) -> &'static str {
    rejected_by.map_or("undecided", CheckId::as_str)
}
