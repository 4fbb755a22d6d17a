//! What is measured of a request: the same values for counters, log lines, spans and rows. All of it is listed here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use attest_core::UnixTime;
use attest_core::retention::Field;

use crate::config::Name;
use crate::request::Endpoint;

/// What of a row is kept, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    pub until: UnixTime,
    /// Metadata beyond what is always there.
    pub fields: BTreeSet<Field>,
    /// The row that was written before the request was forwarded, which this one takes the place of.
    pub instead_of: Option<Unfinished>,
}

/// Which row, among those that the running process wrote before their requests were forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished(pub(crate) i64);

#[cfg(test)]
impl Keep {
    /// Every field, for good.
    pub fn everything() -> Self {
        Self {
            until: UnixTime::from_secs(u64::MAX),
            fields: Field::ALL.into(),
            instead_of: None,
        }
    }
}

/// One inference request, as it is metered.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageRow {
    pub at: UnixTime,
    pub receipt_id: String,
    pub key_id: Arc<str>,
    pub tenant: Name,
    /// The configured model; none when the request named one that is not.
    pub model: Option<Name>,
    pub upstream: Option<Name>,
    pub endpoint: Endpoint,
    pub stream: bool,
    pub status: u16,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub latency: Duration,
    pub first_byte: Option<Duration>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub outcome: Outcome,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The upstream's response was relayed to its end.
    Completed,
    /// Refused by us before anything was forwarded: unknown model, unmet constraint.
    Refused,
    /// Refused because no upstream could be verified.
    VerificationFailed,
    /// The upstream answered with an error.
    UpstreamRejected,
    /// The upstream could not be reached.
    UpstreamUnavailable,
    UpstreamTimeout,
    /// The response broke off on the upstream's side after it had begun.
    UpstreamBrokeOff,
    /// The caller went away before the end.
    ClientGone,
    /// Our own failure.
    Failed,
    /// It was forwarded, and how it ended was never written: the process died, or the database.
    Unfinished,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::Refused => "refused",
            Outcome::VerificationFailed => "verification_failed",
            Outcome::UpstreamRejected => "upstream_rejected",
            Outcome::UpstreamUnavailable => "upstream_unavailable",
            Outcome::UpstreamTimeout => "upstream_timeout",
            Outcome::UpstreamBrokeOff => "upstream_broke_off",
            Outcome::ClientGone => "client_gone",
            Outcome::Failed => "failed",
            Outcome::Unfinished => "unfinished",
        }
    }
}
