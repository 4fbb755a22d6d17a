//! Why there is no trusted connection, and what became of a request that failed on one.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use attest_core::Verdict;

/// What was under way when the time ran out.
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

/// Why no trusted connection could be had. In every case nothing but a report request was sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ChannelError {
    #[error("the host name does not resolve")]
    Resolve,
    #[error("cannot connect: {0}")]
    Connect(io::ErrorKind),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("time ran out while {stage}")]
    Timeout { stage: Stage },
    /// The connection broke, or did not speak HTTP/1.1, while the report was fetched.
    #[error("HTTP: {0}")]
    Http(String),
    #[error("the report request was answered with status {0}")]
    ReportStatus(u16),
    /// The peer said "not now" until there was no time left to ask again. Nothing was verified, and
    /// nothing was refused.
    #[error("the service is busy making attestation reports (status {status}){}", again(*retry_after))]
    Busy {
        status: u16,
        /// What the peer named in its last answer.
        retry_after: Option<Duration>,
    },
    #[error("the attestation report is larger than 4 MiB")]
    ReportTooLarge,
    /// The evidence was looked at and is not accepted for this key.
    #[error("the peer's evidence was not accepted")]
    Rejected(Arc<Verdict>),
    /// Every peer met is trusted, but none is what the caller asked for.
    #[error("none of the peers met was accepted by the request")]
    NoneAccepted,
    #[error("no random numbers for a nonce")]
    NoRandomness,
    /// The verification itself died. Never read as acceptance.
    #[error("the verification did not come to an end")]
    VerificationFailed,
}

fn again(retry_after: Option<Duration>) -> String {
    match retry_after {
        Some(pause) => format!("; try again in {} s", pause.as_secs()),
        None => String::new(),
    }
}

/// What kept a request from leaving.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotSent {
    /// The connection had been closed by the peer while it was unused.
    #[error("the connection was closed before the request")]
    Stale,
    /// The request names another origin than the one the lease is for.
    #[error("the request is for another origin")]
    WrongOrigin,
    /// The connection was stale and another one could not be had.
    #[error("{0}")]
    Channel(ChannelError),
}

/// Why there is no response. The two cases differ in what a caller may do about it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SendError {
    /// No byte of the request left this process: it may be sent elsewhere.
    #[error("request not sent: {0}")]
    NotSent(NotSent),
    /// The peer may have seen the request, or a part of it.
    #[error("request interrupted: {0}")]
    Interrupted(String),
}

impl SendError {
    pub(crate) fn interrupted(error: &hyper::Error) -> Self {
        // hyper describes the event, never the bytes.
        SendError::Interrupted(describe(error))
    }
}

/// hyper's own words and those of the error below it, which may be TLS or the socket.
pub(crate) fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
