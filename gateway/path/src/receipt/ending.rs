//! How a response ended.

use gateway_base::metering::Cause;
use gateway_base::metering::Outcome;

/// The response was complete, or interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A complete response: the upstream's, or our own error.
    Complete(Outcome),
    /// The response was aborted before it was complete.
    Interrupted(Interruption),
}

/// Why a response was interrupted. The reasons on the wire are part of the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The client's connection closed first.
    ConnectionClosed,
    /// The upstream's connection closed, or its message ended, before the response was complete.
    UpstreamClosed,
    /// The upstream stopped sending.
    UpstreamStalled,
    /// The upstream reported an error in the middle of its response. It is not passed on.
    UpstreamError,
    /// What the retention policy requires could not be kept.
    RetentionFailed,
}

impl Interruption {
    /// The `reason` of the receipt event.
    pub const fn reason(self) -> &'static str {
        match self {
            Interruption::ConnectionClosed => "connection_closed",
            Interruption::UpstreamClosed => "upstream_broke_off",
            Interruption::UpstreamStalled => "upstream_stalled",
            Interruption::UpstreamError => "upstream_error",
            Interruption::RetentionFailed => "retention_failed",
        }
    }

    /// The upstream's failure, if it was one.
    pub const fn cause(self) -> Option<Cause> {
        match self {
            Interruption::UpstreamClosed => Some(Cause::Closed),
            Interruption::UpstreamStalled => Some(Cause::Stalled),
            Interruption::UpstreamError => Some(Cause::ReportedError),
            Interruption::ConnectionClosed | Interruption::RetentionFailed => None,
        }
    }
}

impl Ending {
    /// What the usage row says.
    pub const fn outcome(self) -> Outcome {
        match self {
            Ending::Complete(outcome) => outcome,
            Ending::Interrupted(Interruption::ConnectionClosed) => Outcome::ClientGone,
            Ending::Interrupted(Interruption::UpstreamClosed) => Outcome::UpstreamBrokeOff,
            Ending::Interrupted(Interruption::UpstreamStalled) => Outcome::UpstreamTimeout,
            Ending::Interrupted(Interruption::UpstreamError) => Outcome::UpstreamRejected,
            Ending::Interrupted(Interruption::RetentionFailed) => Outcome::Failed,
        }
    }
}
