//! Reads a request body into one buffer, with limits on size, time and memory.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;

use attest_core::{BodyHasher, Sha256Digest};
use gateway_base::errors::ApiError;
use gateway_base::errors::Invalid;
use gateway_base::request::BodyReservation;
use gateway_upstream::prompt::Prompt;

/// The initial capacity for a body of unannounced length.
const UNANNOUNCED: u64 = 16 * 1024;
/// This many bytes of a body, or its rest, have to arrive within each period of `timeouts.client_body`.
const MIN_PROGRESS: usize = 8 * 1024;

/// Limits for one body.
pub(super) struct BodyLimits {
    /// The largest size in bytes.
    pub limit: u64,
    /// The period in which [`MIN_PROGRESS`] has to arrive.
    pub timeout: Duration,
    /// The memory budget of the whole service, and the error when it is exhausted.
    pub service: (BodyReservation, ApiError),
    /// The same for the part that one API key may use.
    pub key: (BodyReservation, ApiError),
}

impl BodyLimits {
    fn reserve(&mut self, bytes: u64) -> Result<(), ApiError> {
        for (reserved, error) in [&mut self.key, &mut self.service] {
            if !reserved.grow_to(bytes) {
                return Err(error.clone());
            }
        }
        Ok(())
    }
}

/// Checks what can be checked before the body arrives.
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

/// Reads all of it. Memory is reserved in the budgets before it is allocated.
pub(super) async fn read<B>(
    body: B,
    mut limits: BodyLimits,
) -> Result<(Prompt, Sha256Digest), ApiError>
where
    B: Body<Data = Bytes>,
{
    let limit = limits.limit;
    let announced = body.size_hint().exact();
    // An announced length is reserved as a whole: a client that sends slowly must not find half-way that others have
    // taken the rest.
    limits.reserve(announced.unwrap_or(UNANNOUNCED.min(limit)))?;
    let mut prompt = Prompt::with_capacity(usize_from(announced.unwrap_or(UNANNOUNCED)));
    let mut hasher = BodyHasher::new();
    let mut body = pin!(body);
    let mut deadline = pin!(tokio::time::sleep(limits.timeout));
    let mut progress = 0;
    loop {
        let frame = tokio::select! {
            // What has arrived counts, also at the moment of the timeout.
            biased;
            frame = body.frame() => frame,
            () = deadline.as_mut() => return Err(ApiError::BodyTimeout),
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| Invalid::BodyUnreadable)?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        let length = (prompt.len() as u64).saturating_add(piece.len() as u64);
        if length > limit {
            return Err(ApiError::BodyTooLarge { limit });
        }
        if length > prompt.capacity() as u64 {
            let capacity = (prompt.capacity() as u64 * 2).clamp(length, limit);
            // Reserved before it is allocated. The old and the new buffer exist together for a moment; only the new one
            // counts.
            limits.reserve(capacity)?;
            prompt.reserve_total(usize_from(capacity));
        }
        hasher.update(&piece);
        prompt.extend(&piece);
        progress += piece.len();
        if progress >= MIN_PROGRESS {
            progress = 0;
            deadline.as_mut().reset(Instant::now() + limits.timeout);
        }
    }
    let reserved = vec![limits.service.0, limits.key.0];
    Ok((prompt.with_reservations(reserved), hasher.finish()))
}

fn usize_from(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use gateway_base::request::BodyBudget;

    fn pieces(pieces: Vec<&'static [u8]>) -> impl Body<Data = Bytes, Error = std::io::Error> {
        let frames = pieces
            .into_iter()
            .map(|piece| Ok(Frame::data(Bytes::from_static(piece))));
        StreamBody::new(stream::iter(frames))
    }

    fn limits(limit: u64, timeout: Duration) -> BodyLimits {
        limits_with(limit, timeout, &BodyBudget::default(), u64::MAX)
    }

    fn limits_with(limit: u64, timeout: Duration, service: &BodyBudget, most: u64) -> BodyLimits {
        BodyLimits {
            limit,
            timeout,
            service: (service.reservation(most), ApiError::ServiceBusy),
            key: (
                BodyBudget::default().reservation(u64::MAX),
                ApiError::KeyBusy,
            ),
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn memory_is_reserved_until_the_body_is_dropped() {
        let budget = BodyBudget::default();
        let read = async |length: usize, most: u64| {
            let body = Full::new(Bytes::from(vec![b'x'; length]));
            super::read(body, limits_with(1 << 20, LONG, &budget, most)).await
        };
        let Ok((held, _)) = read(600, 1000).await else {
            panic!("a body")
        };
        assert_eq!(budget.reserved(), 600);
        assert_eq!(read(600, 1000).await.err(), Some(ApiError::ServiceBusy));
        assert_eq!(budget.reserved(), 600);
        drop(held);
        assert_eq!(budget.reserved(), 0);
        assert!(read(600, 1000).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_of_unannounced_length_reserves_as_it_grows() {
        let budget = BodyBudget::default();
        let body = || {
            let piece = vec![b'x'; 10_000];
            let frames = (0..8)
                .map(move |_| Ok::<_, std::io::Error>(Frame::data(Bytes::from(piece.clone()))));
            StreamBody::new(stream::iter(frames))
        };
        let outcome = read(body(), limits_with(1 << 20, LONG, &budget, 60_000)).await;
        assert_eq!(outcome.err(), Some(ApiError::ServiceBusy));
        assert_eq!(budget.reserved(), 0);
        let outcome = read(body(), limits_with(1 << 20, LONG, &budget, 200_000)).await;
        let Ok((prompt, _)) = outcome else {
            panic!("a body")
        };
        assert_eq!(prompt.len(), 80_000);
        assert!(budget.reserved() >= 80_000);
    }

    #[tokio::test]
    async fn a_body_may_take_longer_than_the_timeout_while_it_makes_progress() {
        let slowly = |piece: usize, pieces: usize| {
            let every = Duration::from_millis(10);
            StreamBody::new(Box::pin(stream::unfold(0, move |n| async move {
                if n == pieces {
                    return None;
                }
                tokio::time::sleep(every).await;
                let frame = Frame::data(Bytes::from(vec![b'x'; piece]));
                Some((Ok::<_, std::io::Error>(frame), n + 1))
            })))
        };
        let timeout = Duration::from_secs(1);
        let begun = Instant::now();
        assert!(
            read(slowly(MIN_PROGRESS, 120), limits(1 << 20, timeout))
                .await
                .is_ok()
        );
        assert!(begun.elapsed() > timeout);
        // Bytes keep arriving, but too few.
        let outcome = read(slowly(1, 100_000), limits(1 << 20, timeout)).await;
        assert_eq!(outcome.err(), Some(ApiError::BodyTimeout));
    }

    #[tokio::test]
    async fn pieces_are_joined_and_hashed() {
        let outcome = read(pieces(vec![b"{\"a\"", b":1}"]), limits(7, LONG)).await;
        let Ok((prompt, digest)) = outcome else {
            panic!("a body")
        };
        assert_eq!(prompt.bytes(), b"{\"a\":1}");
        assert_eq!(digest, Sha256Digest::hash(b"{\"a\":1}"));
    }

    #[tokio::test]
    async fn rejects_a_body_of_unannounced_length_at_the_limit() {
        let outcome = read(pieces(vec![b"1234", b"5678"]), limits(7, LONG)).await;
        assert_eq!(outcome.err(), Some(ApiError::BodyTooLarge { limit: 7 }));
    }

    #[tokio::test]
    async fn rejects_a_body_that_does_not_arrive() {
        let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        assert_eq!(
            read(never, limits(7, Duration::from_millis(20)))
                .await
                .err(),
            Some(ApiError::BodyTimeout)
        );
    }

    #[tokio::test]
    async fn rejects_an_interrupted_body() {
        let broken = stream::iter([
            Ok(Frame::data(Bytes::from_static(b"{"))),
            Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
        ]);
        let outcome = read(StreamBody::new(broken), limits(7, LONG)).await;
        assert_eq!(
            outcome.err(),
            Some(ApiError::Invalid(Invalid::BodyUnreadable))
        );
    }

    #[test]
    fn rejects_a_size_media_type_or_encoding_by_the_head() {
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
        for accepted in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json;charset=utf-8",
        ] {
            assert_eq!(
                check_head(&head(CONTENT_TYPE, accepted), &body, 8),
                Ok(()),
                "{accepted}"
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
