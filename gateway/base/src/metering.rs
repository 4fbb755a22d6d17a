//! What is measured of a request: the same values for counters, log lines, spans and rows. All of it is listed here.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use attest_core::UnixTime;
use attest_core::retention::Field;

use crate::request::Endpoint;
use crate::request::Name;

/// What the ledger and the audit log count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    pub rows_lost: u64,
    pub rows_waiting: usize,
    pub oldest_row_age: Duration,
    pub log_entries_waiting: u64,
    pub log_entries_lost: u64,
}

/// Token counts of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub source: TokenSource,
}

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
pub struct Unfinished(pub i64);

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
    /// How the token counts are known.
    pub token_source: TokenSource,
    /// What the upstream did wrong.
    pub cause: Option<Cause>,
}

impl UsageRow {
    /// How the token counts are known, where there are any.
    pub fn token_source(&self) -> Option<&'static str> {
        let counted = self.prompt_tokens.is_some() || self.completion_tokens.is_some();
        counted.then(|| self.token_source.as_str())
    }
}

/// Where token counts come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TokenSource {
    /// The upstream's own `usage`.
    #[default]
    Reported,
    /// The upstream reported none: events that carry text or a call were counted. One is usually one token.
    Events,
}

impl TokenSource {
    pub const fn as_str(self) -> &'static str {
        match self {
            TokenSource::Reported => "reported",
            TokenSource::Events => "events",
        }
    }
}

/// What an upstream did wrong, in words that logs, metrics, rows and receipts use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its name does not resolve.
    Dns,
    /// It is to be on this machine, and its address is not.
    NotLoopback,
    Refused,
    /// No route, or another failure to connect.
    Unreachable,
    /// Connecting took too long.
    ConnectTimeout,
    /// Nothing came in time.
    Timeout,
    Tls,
    /// It is an enclave and was not verified.
    NotVerified,
    /// The head of its response cannot be read, or is too large.
    Head,
    /// The connection closed before the answer was whole.
    Closed,
    /// It stopped in the middle of its answer.
    Stalled,
    /// It answered with this status.
    Status(u16),
    /// It reported an error inside a successful response.
    ReportedError,
    /// The answer is whole, the message around it was not.
    Framing,
    /// The message ended properly and the answer in it is not whole.
    Unfinished,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Dns => "dns",
            Cause::NotLoopback => "not_loopback",
            Cause::Refused => "refused",
            Cause::Unreachable => "unreachable",
            Cause::ConnectTimeout => "connect_timeout",
            Cause::Timeout => "timeout",
            Cause::Tls => "tls",
            Cause::NotVerified => "not_verified",
            Cause::Head => "head",
            Cause::Closed => "closed",
            Cause::Stalled => "stalled",
            Cause::Status(status) => return write!(f, "status:{status}"),
            Cause::ReportedError => "reported_error",
            Cause::Framing => "framing",
            Cause::Unfinished => "unfinished",
        })
    }
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
    /// The response ended properly as a message, and its content says that more was to come.
    UpstreamUnfinished,
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
            Outcome::UpstreamUnfinished => "upstream_unfinished",
            Outcome::ClientGone => "client_gone",
            Outcome::Failed => "failed",
            Outcome::Unfinished => "unfinished",
        }
    }
}
