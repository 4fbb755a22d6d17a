//! Why a prompt that a connection was open for has no response.

use attest_channel::SendError;
use attest_channel::transport::{ExchangeError, Unanswered};

/// Why an exchange did not produce a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// No byte of the request was written: it can be sent elsewhere.
    #[error("the connection was closed before the request was sent")]
    NotSent,
    /// The peer received the request, did not process it, and requires another connection (421).
    #[error("the upstream serves no more requests on this connection")]
    Misdirected,
    /// The peer may have read the request.
    #[error("no response arrived: {0}")]
    MaybeSent(NoResponse),
}

/// What arrived instead of a readable response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoResponse {
    #[error("the connection was interrupted")]
    Closed,
    #[error("its head cannot be read, or is too large")]
    Head,
}

impl From<Unanswered> for SendFailure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotSent => SendFailure::NotSent,
            Unanswered::MaybeSent(ExchangeError::Head | ExchangeError::HeadTooLarge) => {
                SendFailure::MaybeSent(NoResponse::Head)
            }
            Unanswered::MaybeSent(_) => SendFailure::MaybeSent(NoResponse::Closed),
        }
    }
}

impl From<SendError> for SendFailure {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NotSent(_) => SendFailure::NotSent,
            SendError::Misdirected => SendFailure::Misdirected,
            SendError::Interrupted(_) => SendFailure::MaybeSent(NoResponse::Closed),
        }
    }
}
