//! Why collateral could not be fetched.

use attest_core::tdx::QuoteFormatError;

/// Why collateral could not be fetched. `what` names the part that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The base URL is not an http or https URL.
    #[error("the address of the collateral service is not an http or https URL")]
    BaseUrl,
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
    /// The quote cannot be read.
    #[error("the quote cannot be read: {0}")]
    Quote(#[from] QuoteFormatError),
    /// The quote does not say which platform it is from.
    #[error("the quote carries no PCK certificate of a known authority")]
    Platform,
    /// No connection.
    #[error("{what}: no connection to the collateral service")]
    Connect {
        /// Which part.
        what: &'static str,
    },
    /// No complete answer in time.
    #[error("{what}: no complete answer in time")]
    Timeout {
        /// Which part.
        what: &'static str,
    },
    /// An answer other than 200.
    #[error("{what}: the collateral service answered {status}")]
    Status {
        /// Which part.
        what: &'static str,
        /// The HTTP status.
        status: u16,
    },
    /// An answer larger than any such part.
    #[error("{what}: the answer is too large")]
    TooLarge {
        /// Which part.
        what: &'static str,
    },
    /// The connection broke off inside the answer.
    #[error("{what}: the answer broke off")]
    BrokenOff {
        /// Which part.
        what: &'static str,
    },
    /// The issuer chain, which travels in a header, is missing or not readable.
    #[error("{what}: no readable issuer chain in the answer")]
    IssuerChain {
        /// Which part.
        what: &'static str,
    },
    /// The body is not of the documented shape.
    #[error("{what}: the answer is not of the documented shape")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
}
