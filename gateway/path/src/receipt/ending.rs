//! How a request can end.

use gateway_base::metering::Cause;
use gateway_base::metering::Outcome;

/// The response was handed over whole, or cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A whole response: the upstream's, or our own error.
    Whole(Outcome),
    /// The response ended before its time.
    CutShort(CutShort),
}

/// Why a response was cut short. The names on the wire are part of the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutShort {
    /// The caller's connection closed first.
    ConnectionClosed,
    /// The upstream's connection broke, or its message ended before it was complete.
    UpstreamBroke,
    /// The upstream stopped sending.
    UpstreamStalled,
    /// The upstream reported an error in the middle of its response, which is not passed on.
    UpstreamError,
    /// What the retention policy demands could not be kept.
    Unkept,
}

impl CutShort {
    /// The `reason` of the receipt event.
    pub const fn reason(self) -> &'static str {
        match self {
            CutShort::ConnectionClosed => "connection_closed",
            CutShort::UpstreamBroke => "upstream_broke_off",
            CutShort::UpstreamStalled => "upstream_stalled",
            CutShort::UpstreamError => "upstream_error",
            CutShort::Unkept => "retention_failed",
        }
    }

    /// What the upstream did, where it was its doing.
    pub const fn cause(self) -> Option<Cause> {
        match self {
            CutShort::UpstreamBroke => Some(Cause::Closed),
            CutShort::UpstreamStalled => Some(Cause::Stalled),
            CutShort::UpstreamError => Some(Cause::ReportedError),
            CutShort::ConnectionClosed | CutShort::Unkept => None,
        }
    }
}

impl Ending {
    /// What the usage row says.
    pub const fn outcome(self) -> Outcome {
        match self {
            Ending::Whole(outcome) => outcome,
            Ending::CutShort(CutShort::ConnectionClosed) => Outcome::ClientGone,
            Ending::CutShort(CutShort::UpstreamBroke) => Outcome::UpstreamBrokeOff,
            Ending::CutShort(CutShort::UpstreamStalled) => Outcome::UpstreamTimeout,
            Ending::CutShort(CutShort::UpstreamError) => Outcome::UpstreamRejected,
            Ending::CutShort(CutShort::Unkept) => Outcome::Failed,
        }
    }
}
