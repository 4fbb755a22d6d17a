//! Verifies JSON Web Tokens (RFC 7519) by the keys that their issuer publishes (RFC 7517), on ring.
//!
//! [`UnverifiedToken`] parses, [`KeySet`] has an issuer's keys, and [`verify()`] compares a token with what is expected of
//! it. Nothing here reads a clock, a file or a socket. Keys and accepted algorithms are arguments; a token cannot bring
//! its own, choose a weaker algorithm, or use a key for another algorithm than its own.

#![warn(unreachable_pub)]

mod algorithm;
mod base64url;
mod claims;
mod error;
mod json;
mod key_set;
mod token;

use std::time::Duration;

pub use algorithm::Algorithm;
pub use claims::{Validity, VerifiedClaims};
pub use error::TokenError;
pub use json::parse_object;
pub use key_set::{KeySet, KeySetError};
pub use token::{MAX_TOKEN, UnverifiedToken};

use key_set::NoKey;

/// What a token must be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Its `iss`, byte by byte.
    pub issuer: &'a str,
    /// Its `aud` is or contains one of these.
    pub audiences: &'a [String],
    /// Its `alg` is one of these.
    pub algorithms: &'a [Algorithm],
    /// By how much the issuer's clock may differ from ours.
    pub clock_skew: Duration,
}

/// Verifies a token by its issuer's keys, at this number of seconds since 1970.
pub fn verify(
    token: UnverifiedToken<'_>,
    keys: &KeySet,
    expected: &Expected<'_>,
    now: u64,
) -> Result<VerifiedClaims, TokenError> {
    if !expected.algorithms.contains(&token.algorithm) {
        return Err(TokenError::Algorithm);
    }
    let key = keys.choose(token.key_id.as_deref(), token.algorithm);
    let key = key.map_err(|reason| match reason {
        NoKey::Unknown => TokenError::KeyUnknown,
        NoKey::Algorithm => TokenError::Algorithm,
    })?;
    if !key.verifies(token.algorithm, token.signed, &token.signature) {
        return Err(TokenError::Signature);
    }
    // From here on the claims are those of the keys' owner.
    if token.issuer()? != expected.issuer {
        return Err(TokenError::Issuer);
    }
    VerifiedClaims::check(token.claims, expected.audiences, expected.clock_skew, now)
}
