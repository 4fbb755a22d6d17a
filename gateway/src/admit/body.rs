//! Reading a request body into one buffer, within size and time.

use std::pin::pin;
use std::time::Duration;

use attest_core::{BodyHasher, Sha256Digest};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body;
use http_body_util::BodyExt;

use super::Prompt;
use crate::errors::ApiError;
use crate::errors::Invalid;

/// Room made for a body whose length is not announced.
const UNANNOUNCED: usize = 16 * 1024;

/// Refuses what the head already shows to be unacceptable.
pub(super) fn check_head(
    headers: &HeaderMap,
    body: &impl Body,
    limit: u64,
) -> Result<(), ApiError> {
    for encoding in headers.get_all(CONTENT_ENCODING) {
        if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") {
            return Err(ApiError::UnsupportedEncoding);
        }
    }
    if let Some(media_type) = headers.get(CONTENT_TYPE) {
        let essence = media_type
            .as_bytes()
            .split(|b| *b == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        if !essence.eq_ignore_ascii_case(b"application/json") {
            return Err(ApiError::UnsupportedMediaType);
        }
    }
    if body.size_hint().lower() > limit {
        return Err(ApiError::BodyTooLarge { limit });
    }
    Ok(())
}

/// Reads all of it.
pub(super) async fn read<B>(
    body: B,
    limit: u64,
    timeout: Duration,
) -> Result<(Prompt, Sha256Digest), ApiError>
where
    B: Body<Data = Bytes>,
{
    match tokio::time::timeout(timeout, read_all(body, limit)).await {
        Ok(read) => read,
        Err(_) => Err(ApiError::BodyTimeout),
    }
}

async fn read_all<B>(body: B, limit: u64) -> Result<(Prompt, Sha256Digest), ApiError>
where
    B: Body<Data = Bytes>,
{
    let announced = body
        .size_hint()
        .exact()
        .and_then(|length| usize::try_from(length).ok());
    let mut prompt = Prompt::with_capacity(announced.unwrap_or(UNANNOUNCED));
    let mut hasher = BodyHasher::new();
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Invalid::BodyUnreadable)?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if (prompt.len() as u64).saturating_add(piece.len() as u64) > limit {
            return Err(ApiError::BodyTooLarge { limit });
        }
        hasher.update(&piece);
        prompt.extend(&piece);
    }
    Ok((prompt, hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    fn pieces(pieces: Vec<&'static [u8]>) -> impl Body<Data = Bytes, Error = std::io::Error> {
        let frames = pieces
            .into_iter()
            .map(|piece| Ok(Frame::data(Bytes::from_static(piece))));
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn pieces_become_one_body_with_its_digest() {
        let outcome = read(pieces(vec![b"{\"a\"", b":1}"]), 7, Duration::from_secs(5)).await;
        let Ok((prompt, digest)) = outcome else {
            panic!("a body")
        };
        assert_eq!(prompt.bytes(), b"{\"a\":1}");
        assert_eq!(digest, Sha256Digest::of(b"{\"a\":1}"));
    }

    #[tokio::test]
    async fn a_body_of_unannounced_length_is_cut_off_at_the_limit() {
        let outcome = read(pieces(vec![b"1234", b"5678"]), 7, Duration::from_secs(5)).await;
        assert_eq!(outcome.err(), Some(ApiError::BodyTooLarge { limit: 7 }));
    }

    #[tokio::test]
    async fn a_body_that_does_not_arrive_is_not_waited_for() {
        let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        assert_eq!(
            read(never, 7, Duration::from_millis(20)).await.err(),
            Some(ApiError::BodyTimeout)
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_unreadable() {
        let broken = stream::iter([
            Ok(Frame::data(Bytes::from_static(b"{"))),
            Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
        ]);
        let outcome = read(StreamBody::new(broken), 7, Duration::from_secs(5)).await;
        assert_eq!(
            outcome.err(),
            Some(ApiError::Invalid(Invalid::BodyUnreadable))
        );
    }

    #[test]
    fn the_head_alone_can_be_reason_enough() {
        let head = |name: http::HeaderName, value: &'static str| {
            HeaderMap::from_iter([(name, http::HeaderValue::from_static(value))])
        };
        let body = Full::new(Bytes::from_static(b"12345678"));
        let none = HeaderMap::new();
        assert_eq!(check_head(&none, &body, 8), Ok(()));
        assert_eq!(
            check_head(&none, &body, 7),
            Err(ApiError::BodyTooLarge { limit: 7 })
        );
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json;charset=utf-8",
        ] {
            assert_eq!(
                check_head(&head(CONTENT_TYPE, good), &body, 8),
                Ok(()),
                "{good}"
            );
        }
        for bad in ["text/plain", "multipart/form-data", "application/jsonx", ""] {
            assert_eq!(
                check_head(&head(CONTENT_TYPE, bad), &body, 8),
                Err(ApiError::UnsupportedMediaType),
                "{bad}"
            );
        }
        assert_eq!(
            check_head(&head(CONTENT_ENCODING, "identity"), &body, 8),
            Ok(())
        );
        for bad in ["gzip", "br", "gzip, identity", ""] {
            assert_eq!(
                check_head(&head(CONTENT_ENCODING, bad), &body, 8),
                Err(ApiError::UnsupportedEncoding),
                "{bad}"
            );
        }
    }
}
