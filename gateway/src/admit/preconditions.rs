//! Preconditions a caller may send along, checked before its body is read (profile `sealgate/1`).
//!
//! They only tighten: they can refuse a request, never loosen what would happen without them.

use attest_core::Sha256Digest;
use http::{HeaderMap, HeaderName};

use crate::config::{RetentionMode, RetentionPolicy};
use crate::errors::ApiError;
use crate::errors::Invalid;
use crate::http::{KEYSET_DIGEST, RETENTION};

/// Checks the caller's preconditions against what this connection was opened under.
pub(super) fn check(
    headers: &HeaderMap,
    keyset: &Sha256Digest,
    policy: &RetentionPolicy,
) -> Result<(), ApiError> {
    if let Some(text) = single(headers, &KEYSET_DIGEST, Invalid::KeysetHeader)? {
        let pinned = Sha256Digest::parse(text).map_err(|_| Invalid::KeysetHeader)?;
        if pinned != *keyset {
            return Err(ApiError::KeysetPrecondition);
        }
    }
    if let Some(text) = single(headers, &RETENTION, Invalid::RetentionHeader)? {
        let allowed = RetentionMode::parse(text).ok_or(Invalid::RetentionHeader)?;
        if policy.mode > allowed {
            return Err(ApiError::RetentionPrecondition);
        }
    }
    Ok(())
}

fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    otherwise: Invalid,
) -> Result<Option<&'a str>, Invalid> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| otherwise),
        (Some(_), Some(_)) => Err(otherwise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check_with(pairs: &[(&HeaderName, &str)]) -> Result<(), ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).expect("a header"));
        }
        check(
            &headers,
            &Sha256Digest::of(b"ours"),
            &RetentionPolicy::built_in(),
        )
    }

    #[test]
    fn what_holds_is_let_through() {
        let ours = Sha256Digest::of(b"ours").to_string();
        assert_eq!(check_with(&[]), Ok(()));
        assert_eq!(
            check_with(&[(&KEYSET_DIGEST, &ours), (&RETENTION, "metadata")]),
            Ok(())
        );
    }

    #[test]
    fn what_does_not_hold_is_refused_for_its_reason() {
        let theirs = Sha256Digest::of(b"theirs").to_string();
        let ours = Sha256Digest::of(b"ours").to_string();
        assert_eq!(
            check_with(&[(&KEYSET_DIGEST, &theirs)]),
            Err(ApiError::KeysetPrecondition)
        );
        assert_eq!(
            check_with(&[(&RETENTION, "zero")]),
            Err(ApiError::RetentionPrecondition)
        );
        for text in ["", "*", &ours[7..], &ours.to_uppercase()] {
            assert_eq!(
                check_with(&[(&KEYSET_DIGEST, text)]),
                Err(Invalid::KeysetHeader.into()),
                "{text}"
            );
        }
        assert_eq!(
            check_with(&[(&KEYSET_DIGEST, &ours), (&KEYSET_DIGEST, &ours)]),
            Err(Invalid::KeysetHeader.into())
        );
        for text in ["", "content", "Zero", "metadata, zero"] {
            assert_eq!(
                check_with(&[(&RETENTION, text)]),
                Err(Invalid::RetentionHeader.into()),
                "{text}"
            );
        }
    }
}
