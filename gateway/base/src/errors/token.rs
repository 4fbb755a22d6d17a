//! Why a token (JWT) is refused.

use http::StatusCode;

use super::{INVALID_REQUEST, PERMISSION, Shape};
use jwt::TokenError;

/// Why a token does not authenticate a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenFault {
    Refused(TokenError),
    /// No rule of the issuer grants anything to this token.
    NotMapped,
    /// The issuer's keys could not be fetched, or are being fetched.
    Unavailable,
}

impl From<TokenError> for TokenFault {
    fn from(error: TokenError) -> Self {
        Self::Refused(error)
    }
}

impl TokenFault {
    /// Its code in errors, and its name in metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Refused(error) => match error {
                TokenError::Malformed => "token_malformed",
                TokenError::Header => "token_header",
                TokenError::Algorithm => "token_algorithm",
                TokenError::Issuer => "token_issuer",
                TokenError::KeyUnknown => "token_key_unknown",
                TokenError::Signature => "token_signature",
                TokenError::Claims => "token_claims",
                TokenError::Audience => "token_audience",
                TokenError::Expired => "token_expired",
                TokenError::NotYetValid => "token_not_yet_valid",
            },
            Self::NotMapped => "token_not_mapped",
            Self::Unavailable => "identity_unavailable",
        }
    }

    pub(super) fn shape(self) -> Shape {
        let (status, kind) = match self {
            Self::Refused(_) => (StatusCode::UNAUTHORIZED, INVALID_REQUEST),
            Self::NotMapped => (StatusCode::FORBIDDEN, PERMISSION),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "server_error"),
        };
        Shape {
            status,
            kind,
            code: Some(self.code()),
            param: None,
            message: self.message().to_owned(),
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Refused(error) => match error {
                TokenError::Malformed => "The bearer token is not a well-formed JWT.",
                TokenError::Header => {
                    "The token's header has a type or an extension that is not accepted."
                }
                TokenError::Algorithm => {
                    "The token's signature algorithm is not accepted, or not for its key."
                }
                TokenError::Issuer => "The token is of an issuer that is not accepted here.",
                TokenError::KeyUnknown => "The token names a key that its issuer does not publish.",
                TokenError::Signature => "The token's signature is not valid.",
                TokenError::Claims => "A claim of the token is missing or has the wrong type.",
                TokenError::Audience => "The token is for another audience.",
                TokenError::Expired => "The token has expired.",
                TokenError::NotYetValid => {
                    "The token is not valid yet, or is issued in the future."
                }
            },
            Self::NotMapped => {
                "The token is valid, but no rule of this service grants anything to it."
            }
            Self::Unavailable => {
                "The keys of the token's issuer are not available at the moment. Try again."
            }
        }
    }
}
