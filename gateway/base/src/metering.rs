//! The measured values of a request. Counters, log lines, spans and rows all use these types.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use attest_core::UnixTime;
use attest_core::retention::Field;

use crate::quota::Money;
use crate::request::{Endpoint, Labels, Name};

/// Counts of the ledger's and the audit log's queues.
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
    pub details: TokenDetails,
    pub source: TokenSource,
}

/// Tokens that can have separate prices, as the upstream reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenDetails {
    /// How many tokens of the prompt were in the upstream's cache.
    pub cached_tokens: Option<u64>,
    /// How many tokens of the completion are reasoning, which the caller may not see.
    pub reasoning_tokens: Option<u64>,
}

/// Which fields of a usage row are stored, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowRetention {
    pub expires_at: UnixTime,
    /// Fields beyond those that are always stored.
    pub fields: KeptFields,
    /// The row that was written before the request was forwarded; the usage row replaces it.
    pub replaces: Option<UnfinishedId>,
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptFields(u8);

impl KeptFields {
    pub fn contains(self, field: &Field) -> bool {
        self.0 & Self::bit(*field) != 0
    }

    /// One bit for each field. `Field` has seven, and one more than eight would not compile here.
    const fn bit(field: Field) -> u8 {
        const { assert!(Field::ALL.len() <= 8) };
        1 << field as u8
    }
}

impl FromIterator<Field> for KeptFields {
    fn from_iter<I: IntoIterator<Item = Field>>(fields: I) -> Self {
        let bits = fields.into_iter().map(Self::bit);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

impl<const N: usize> From<[Field; N]> for KeptFields {
    fn from(fields: [Field; N]) -> Self {
        fields.into_iter().collect()
    }
}

/// The id of a row that this process wrote before the request was forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnfinishedId(pub i64);

#[cfg(test)]
impl RowRetention {
    /// Every field, without expiry.
    pub fn all_fields() -> Self {
        Self {
            expires_at: UnixTime::from_secs(u64::MAX),
            fields: Field::ALL.into(),
            replaces: None,
        }
    }
}

/// The usage row of one inference request.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageRow {
    pub at: UnixTime,
    pub receipt_id: String,
    pub key_id: Arc<str>,
    pub tenant: Name,
    pub organisation: Option<Name>,
    /// The user or service account that made the request.
    pub user: Option<Name>,
    pub labels: Labels,
    /// The configured model; none when the request named one that is not.
    pub model: Option<Name>,
    pub upstream: Option<Name>,
    pub endpoint: Endpoint,
    pub stream: bool,
    pub status: u16,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub token_details: TokenDetails,
    /// In the unit of the price table; `None` where there is no price.
    pub cost: Option<Money>,
    pub latency: Duration,
    pub first_byte: Option<Duration>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub outcome: Outcome,
    /// The source of the token counts.
    pub token_source: TokenSource,
    /// How the upstream failed.
    pub cause: Option<Cause>,
}

impl UsageRow {
    /// The source of the token counts, if there are any.
    pub fn token_source(&self) -> Option<&'static str> {
        let counted = self.prompt_tokens.is_some() || self.completion_tokens.is_some();
        counted.then(|| self.token_source.as_str())
    }
}

/// Where token counts come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TokenSource {
    /// The upstream's `usage`.
    #[default]
    Reported,
    /// The upstream reported none: the gateway counted the events with text or a tool call, usually one token each.
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

/// How an upstream failed, in the words of logs, metrics, rows and receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its name does not resolve.
    Dns,
    /// It must be on this machine, and its address is not a loopback address.
    NotLoopback,
    Refused,
    /// No route, or another failure to connect.
    Unreachable,
    /// Connecting took too long.
    ConnectTimeout,
    /// No response before the timeout.
    Timeout,
    Tls,
    /// It is an enclave and was not verified.
    NotVerified,
    /// The head of its response cannot be read, or is too large.
    Head,
    /// The connection closed before the response was complete.
    Closed,
    /// No further data came within the idle timeout.
    Stalled,
    /// It answered with this status.
    Status(u16),
    /// It reported an error inside a successful response.
    ReportedError,
    /// The content is complete, but the HTTP message was not.
    Framing,
    /// The HTTP message is complete, but the content is not.
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
    /// The upstream aborted the response after it had begun.
    UpstreamBrokeOff,
    /// The HTTP message is complete, but its content is not.
    UpstreamUnfinished,
    /// The caller closed the connection before the end.
    ClientGone,
    /// The gateway failed.
    Failed,
    /// It was forwarded, and its end was never written: the process or the database failed.
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
