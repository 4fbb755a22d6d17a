//! Tokens of identity providers, and the key sets that they are verified by.

use std::time::Duration;

use jwt::{Algorithm, Expected, KeySet, TokenError, UnverifiedToken, verify};

use crate::grounds::NOW;
use crate::split;

/// The issuer that the seeds' tokens name.
pub const ISSUER: &str = "https://id.example.com";
/// The audience that they are for.
pub const AUDIENCE: &str = "sealgate";

/// A key set.
pub fn jwt_key_set(data: &[u8]) {
    if let Ok(keys) = KeySet::parse(data) {
        let (usable, ignored) = keys.counts();
        assert!(usable > 0 && usable + ignored <= 64);
        assert_eq!(KeySet::parse(data), Ok(keys));
    }
}

/// A key set and a token. What is accepted is for the expected audience and no other, and at the given time alone.
pub fn jwt_token(data: &[u8]) {
    let [keys, token] = split(data);
    let Ok(text) = std::str::from_utf8(token) else {
        return;
    };
    let Ok(keys) = KeySet::parse(keys) else {
        let _ = UnverifiedToken::parse(text);
        return;
    };
    let verified = |audience: &str, now: u64| {
        let audiences = [audience.to_owned()];
        let expected = Expected {
            issuer: ISSUER,
            audiences: &audiences,
            algorithms: &Algorithm::ALL,
            clock_skew: Duration::ZERO,
        };
        verify(UnverifiedToken::parse(text)?, &keys, &expected, now)
    };
    if let Ok(claims) = verified(AUDIENCE, NOW.secs()) {
        assert!(!claims.subject().is_empty());
        assert_eq!(verified("another", NOW.secs()), Err(TokenError::Audience));
        assert_eq!(verified(AUDIENCE, u64::MAX), Err(TokenError::Expired));
    }
}
