//! How a request can end.

use crate::ledger::Outcome;

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
            CutShort::Unkept => "retention_failed",
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
            Ending::CutShort(CutShort::Unkept) => Outcome::Failed,
        }
    }
}
