//! Why an enclave cannot be given a prompt, in words that receipts and logs may use.

use attest_channel::{ChannelError, Stage};
use attest_core::CheckId;

use gateway_base::metering::Cause;

/// Why an enclave cannot be used. The prompt has not left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// A check of the verdict refused it, if one check can be named.
    #[error("its evidence was not accepted: {}", check_name(*.0))]
    Rejected(Option<CheckId>),
    #[error("its evidence could not be obtained: {}", .0.reason())]
    Unavailable(Missing),
    /// It is verified, but the caller asked for other sessions.
    #[error("none of its sessions is among those asked for")]
    NotAmongPinned,
}

/// What stood in the way of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Address,
    Connection,
    ConnectTimeout,
    Tls,
    Report,
    ReportTimeout,
    /// It said that it is busy making reports until there was no time left to ask again.
    ReportBusy,
    /// The verification or its record was not completed; on our side.
    Verdict,
}

impl Missing {
    pub const fn reason(self) -> &'static str {
        match self {
            Missing::Address => "name_not_resolved",
            Missing::Connection => "connect_failed",
            Missing::ConnectTimeout => "connect_timeout",
            Missing::Tls => "tls_failed",
            Missing::Report => "report_unavailable",
            Missing::ReportTimeout => "report_timeout",
            Missing::ReportBusy => "report_busy",
            Missing::Verdict => "verification_incomplete",
        }
    }
}

impl NotVerified {
    /// The word receipts and logs use: from a closed set, and `rejected:` with a check's id.
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
            NotVerified::Unavailable(Missing::Address) => Cause::Dns,
            NotVerified::Unavailable(Missing::Connection) => Cause::Unreachable,
            NotVerified::Unavailable(Missing::ConnectTimeout) => Cause::ConnectTimeout,
            NotVerified::Unavailable(Missing::Tls) => Cause::Tls,
            NotVerified::Unavailable(
                Missing::Report | Missing::ReportBusy | Missing::ReportTimeout | Missing::Verdict,
            )
            | NotVerified::Rejected(_)
            | NotVerified::NotAmongPinned => Cause::NotVerified,
        }
    }

    /// Whether there was no connection to it, so that nothing was verified or refused.
    pub const fn is_unreachable(self) -> bool {
        matches!(
            self,
            NotVerified::Unavailable(
                Missing::Address | Missing::Connection | Missing::ConnectTimeout
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
            ChannelError::Resolve => Missing::Address,
            ChannelError::Connect(_) => Missing::Connection,
            ChannelError::Tls(_) => Missing::Tls,
            ChannelError::Timeout {
                stage: Stage::Report,
            } => Missing::ReportTimeout,
            ChannelError::Timeout { .. } => Missing::ConnectTimeout,
            ChannelError::Busy { .. } => Missing::ReportBusy,
            ChannelError::Http(_)
            | ChannelError::ReportStatus(_)
            | ChannelError::ReportTooLarge => Missing::Report,
            ChannelError::NoRandomness | ChannelError::VerificationFailed => Missing::Verdict,
        })
    }
}

/// The check's stable name, for logs, receipts and the audit log.
pub(super) fn check_name(rejected_by: Option<CheckId>) -> &'static str {
    rejected_by.map_or("undecided", CheckId::as_str)
}
