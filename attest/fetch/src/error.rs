//! Why collateral could not be fetched.

use std::time::Duration;

use attest_core::nvidia::SpdmFormatError;
use attest_core::snp::{CertTableError, HclError, SnpFormatError};
use attest_core::tdx::QuoteFormatError;

/// Why collateral could not be fetched. `what` names the requested part.
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
    /// The quote does not name its platform.
    #[error("the quote carries no PCK certificate of a known authority")]
    Platform,
    /// No connection.
    #[error("{what}: no connection to the collateral service")]
    Connect {
        /// Which part.
        what: &'static str,
    },
    /// The service's TLS certificate is not accepted.
    #[error("{what}: the collateral service's TLS certificate {problem}")]
    Certificate {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        problem: CertificateProblem,
    },
    /// No complete answer before the timeout.
    #[error("{what}: no complete answer before the timeout")]
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
    /// This source has nothing for this kind of evidence.
    #[error("this source has no collateral for {0}")]
    NotServed(&'static str),
    /// The service answered 429, and waiting did not help or would take too long.
    #[error("{what}: the collateral service limits requests (status 429)")]
    RateLimited {
        /// Which part.
        what: &'static str,
        /// Its `Retry-After`, if that was in seconds.
        retry_after: Option<Duration>,
    },
    /// The answer is a web page.
    #[error("{what}: the answer is a web page")]
    Page {
        /// Which part.
        what: &'static str,
    },
    /// The SNP report cannot be read.
    #[error("the report cannot be read: {0}")]
    Report(#[from] SnpFormatError),
    /// The wrapped SNP report cannot be read.
    #[error("the report cannot be read: {0}")]
    Hcl(#[from] HclError),
    /// The certificate table cannot be read.
    #[error("the certificate table cannot be read: {0}")]
    CertTable(#[from] CertTableError),
    /// The processor is not one of the known ones.
    #[error("the report is of an unknown processor")]
    Processor,
    /// The host hides the id that the certificate is published under.
    #[error("the report hides its chip id, so its certificate cannot be requested")]
    ChipIdMasked,
    /// A loaded key's certificate is not published; the host provides it with the report.
    #[error(
        "the report is signed with a loaded key (VLEK), whose certificate is not published: the certificate table is needed"
    )]
    NoVlek,
    /// A device's evidence cannot be read.
    #[error("the device's evidence cannot be read: {0}")]
    Device(#[from] SpdmFormatError),
    /// A device's certificates cannot be read.
    #[error("the device's certificates are not those of a known device")]
    DeviceChain,
    /// The device's report lacks a field that the manifest's name contains.
    #[error("the device's report does not name its {0}")]
    Unnamed(&'static str),
    /// The manifest does not have the digest that the service states.
    #[error("{what}: the answer does not have the digest that it states")]
    Digest {
        /// Which part.
        what: &'static str,
    },
    /// The OCSP responder declined (RFC 6960 §4.2.1).
    #[error("{what}: the responder declined with status {status}")]
    Declined {
        /// Which part.
        what: &'static str,
        /// `responseStatus`.
        status: u8,
    },
    /// No randomness for a nonce.
    #[error("no randomness")]
    Randomness,
}

/// Why a service's TLS certificate is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// Self-signed, or of an authority that this machine does not trust.
    #[error(
        "is not trusted: it is self-signed or of an unknown authority (name a file of trusted certificates in SSL_CERT_FILE)"
    )]
    NotTrusted,
    /// Outside its dates.
    #[error("is outside its dates")]
    Dates,
    /// For another host.
    #[error("is for another name")]
    Name,
    /// Anything else.
    #[error("is not valid")]
    Invalid,
}

impl CertificateProblem {
    /// The problem with a certificate, if one is among the causes of `error`.
    pub(crate) fn in_causes_of(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        use rustls::CertificateError as Tls;
        let mut next = Some(error);
        while let Some(cause) = next {
            let tls = cause.downcast_ref::<rustls::Error>();
            if let Some(rustls::Error::InvalidCertificate(problem)) = tls {
                return Some(match problem {
                    Tls::UnknownIssuer => Self::NotTrusted,
                    Tls::Expired
                    | Tls::ExpiredContext { .. }
                    | Tls::NotValidYet
                    | Tls::NotValidYetContext { .. } => Self::Dates,
                    Tls::NotValidForName | Tls::NotValidForNameContext { .. } => Self::Name,
                    _ => Self::Invalid,
                });
            }
            // `std::io::Error` returns the error that it wraps from `get_ref`, not from `source`.
            let io = cause.downcast_ref::<std::io::Error>();
            next = match io.and_then(std::io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => cause.source(),
            };
        }
        None
    }
}
