//! The bodies of admin requests: small JSON objects with exactly the members that a path accepts.

use axum::body::Body;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;

use gateway_base::errors::{ApiError, Invalid};

/// Reads `body` as JSON of at most `max` bytes.
pub(super) async fn read<T: for<'a> Deserialize<'a>>(
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<T, ApiError> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        return Err(ApiError::UnsupportedMediaType);
    }
    let bytes = match Limited::new(body, max).collect().await {
        Ok(bytes) => bytes.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(ApiError::BodyTooLarge { limit: max as u64 });
        }
        Err(_) => return Err(ApiError::Invalid(Invalid::BodyUnreadable)),
    };
    // serde reads a struct from an array, too.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::Invalid(Invalid::AdminBody));
    }
    serde_json::from_slice(&bytes).map_err(|_| ApiError::Invalid(Invalid::AdminBody))
}
