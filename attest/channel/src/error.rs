//! Why there is no trusted connection, and why a request on one has no response.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use attest_core::Verdict;

/// The step that was under way when a timeout passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Resolve,
    Connect,
    Tls,
    Report,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Resolve => "resolving the name",
            Stage::Connect => "connecting",
            Stage::Tls => "the TLS handshake",
            Stage::Report => "fetching the attestation report",
        })
    }
}

/// Why there is no trusted connection. In every case nothing but a report request was sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ChannelError {
    #[error("the host name does not resolve")]
    Resolve,
    #[error("cannot connect: {0}")]
    Connect(io::ErrorKind),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("timeout while {stage}")]
    Timeout { stage: Stage },
    /// The connection broke, or did not speak HTTP/1.1, while the report was fetched.
    #[error("HTTP: {0}")]
    Http(String),
    #[error("the report request was answered with status {0}")]
    ReportStatus(u16),
    /// The peer answered 429 or 503 until the timeout left no room for another attempt. Nothing was verified,
    /// and nothing was rejected.
    #[error("the service is busy making attestation reports (status {status}){}", again(*retry_after))]
    Busy {
        status: u16,
        /// The value of the peer's last `Retry-After`.
        retry_after: Option<Duration>,
    },
    #[error("the attestation report is larger than 4 MiB")]
    ReportTooLarge,
    /// The evidence was appraised and is not accepted for this key.
    #[error("the peer's evidence was not accepted")]
    Rejected(Arc<Verdict>),
    /// Every peer that answered is trusted, but the caller accepts none of them.
    #[error("the request accepts none of the peers that answered")]
    NoneAccepted,
    #[error("no random numbers for a nonce")]
    NoRandomness,
    /// The verification panicked or was cancelled. Never read as acceptance.
    #[error("the verification did not finish")]
    VerificationFailed,
}

fn again(retry_after: Option<Duration>) -> String {
    match retry_after {
        Some(pause) => format!("; try again in {} s", pause.as_secs()),
        None => String::new(),
    }
}

/// Why no byte of a request was sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotSent {
    /// The peer had closed the connection while it was idle.
    #[error("the connection was closed before the request")]
    Stale,
    /// The request names another origin than the one the lease is for.
    #[error("the request is for another origin")]
    WrongOrigin,
    /// The connection was stale and no other one could be opened.
    #[error("{0}")]
    Channel(ChannelError),
}

/// Why there is no response. The two cases differ in what a caller may do about it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SendError {
    /// No byte of the request left this process: it may be sent elsewhere.
    #[error("request not sent: {0}")]
    NotSent(NotSent),
    /// The peer received the request and did not process it: its epoch has ended, and it serves requests only on new
    /// connections (421, RFC 9110 §15.5.20). It may be sent again, to this origin.
    #[error("the peer serves no more requests on this connection")]
    Misdirected,
    /// The peer may have seen the request, or a part of it.
    #[error("request interrupted: {0}")]
    Interrupted(String),
}
