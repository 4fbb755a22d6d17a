//! Reading a request body into one buffer, within size and time.

use std::pin::pin;
use std::time::Duration;

use attest_core::{BodyHasher, Sha256Digest};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;

use gateway_base::errors::ApiError;
use gateway_base::errors::Invalid;
use gateway_base::request::BodyReservation;
use gateway_upstream::prompt::Prompt;

/// Room made for a body whose length is not announced.
const UNANNOUNCED: u64 = 16 * 1024;
/// So much of a body has to arrive within each period of `timeouts.client_body`, or its rest.
const PROGRESS: usize = 8 * 1024;

/// What a body may take.
pub(super) struct BodyTerms {
    /// The most bytes.
    pub limit: u64,
    /// In which some of it has to arrive.
    pub timeout: Duration,
    /// Memory of the whole service, and the error where there is none left.
    pub service: (BodyReservation, ApiError),
    /// The same for what one API key may take of it.
    pub key: (BodyReservation, ApiError),
}

impl BodyTerms {
    fn reserve(&mut self, bytes: u64) -> Result<(), ApiError> {
        for (reserved, error) in [&mut self.key, &mut self.service] {
            if !reserved.grow_to(bytes) {
                return Err(error.clone());
            }
        }
        Ok(())
    }
}

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

/// Reads all of it, into memory that is reserved first.
pub(super) async fn read<B>(
    body: B,
    mut terms: BodyTerms,
) -> Result<(Prompt, Sha256Digest), ApiError>
where
    B: Body<Data = Bytes>,
{
    let limit = terms.limit;
    let announced = body.size_hint().exact();
    terms.reserve(announced.unwrap_or(UNANNOUNCED.min(limit)))?;
    let mut prompt = Prompt::with_capacity(usize_from(announced.unwrap_or(UNANNOUNCED)));
    let mut hasher = BodyHasher::new();
    let mut body = pin!(body);
    let mut timeout = pin!(tokio::time::sleep(terms.timeout));
    let mut since = 0;
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = timeout.as_mut() => return Err(ApiError::BodyTimeout),
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
            terms.reserve(capacity)?;
            prompt.reserve_total(usize_from(capacity));
        }
        hasher.update(&piece);
        prompt.extend(&piece);
        since += piece.len();
        if since >= PROGRESS {
            since = 0;
            timeout.as_mut().reset(Instant::now() + terms.timeout);
        }
    }
    let reserved = vec![terms.service.0, terms.key.0];
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

    fn terms(limit: u64, timeout: Duration) -> BodyTerms {
        terms_of(limit, timeout, &BodyBudget::default(), u64::MAX)
    }

    fn terms_of(limit: u64, timeout: Duration, service: &BodyBudget, most: u64) -> BodyTerms {
        BodyTerms {
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
    async fn memory_is_reserved_before_a_body_is_read_and_for_as_long_as_it_is_held() {
        let budget = BodyBudget::default();
        let read = async |length: usize, most: u64| {
            let body = Full::new(Bytes::from(vec![b'x'; length]));
            super::read(body, terms_of(1 << 20, LONG, &budget, most)).await
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
        let outcome = read(body(), terms_of(1 << 20, LONG, &budget, 60_000)).await;
        assert_eq!(outcome.err(), Some(ApiError::ServiceBusy));
        assert_eq!(budget.reserved(), 0);
        let outcome = read(body(), terms_of(1 << 20, LONG, &budget, 200_000)).await;
        let Ok((prompt, _)) = outcome else {
            panic!("a body")
        };
        assert_eq!(prompt.len(), 80_000);
        assert!(budget.reserved() >= 80_000);
    }

    #[tokio::test]
    async fn a_body_may_take_longer_than_the_timeout_while_enough_of_it_arrives() {
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
            read(slowly(PROGRESS, 120), terms(1 << 20, timeout))
                .await
                .is_ok()
        );
        assert!(begun.elapsed() > timeout);
        // Never silent either, and never done.
        let outcome = read(slowly(1, 100_000), terms(1 << 20, timeout)).await;
        assert_eq!(outcome.err(), Some(ApiError::BodyTimeout));
    }

    #[tokio::test]
    async fn pieces_become_one_body_with_its_digest() {
        let outcome = read(pieces(vec![b"{\"a\"", b":1}"]), terms(7, LONG)).await;
        let Ok((prompt, digest)) = outcome else {
            panic!("a body")
        };
        assert_eq!(prompt.bytes(), b"{\"a\":1}");
        assert_eq!(digest, Sha256Digest::hash(b"{\"a\":1}"));
    }

    #[tokio::test]
    async fn a_body_of_unannounced_length_is_cut_off_at_the_limit() {
        let outcome = read(pieces(vec![b"1234", b"5678"]), terms(7, LONG)).await;
        assert_eq!(outcome.err(), Some(ApiError::BodyTooLarge { limit: 7 }));
    }

    #[tokio::test]
    async fn a_body_that_does_not_arrive_is_not_waited_for() {
        let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        assert_eq!(
            read(never, terms(7, Duration::from_millis(20))).await.err(),
            Some(ApiError::BodyTimeout)
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_unreadable() {
        let broken = stream::iter([
            Ok(Frame::data(Bytes::from_static(b"{"))),
            Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
        ]);
        let outcome = read(StreamBody::new(broken), terms(7, LONG)).await;
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
