//! A response body that is passed through: every frame is passed on as it arrives and hashed, and
//! none is kept. After the last byte the receipt is fetched. If receipts are
//! required, the body *ends* only when its receipt was verified; otherwise it ends at once.
//!
//! With a receipt the body goes through: hashing (`hashing` is set) → checking the receipt (`check` is set, only with
//! [`Ending::AfterReceipt`]) → ended (neither is set).

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::sync::oneshot;

use attest_core::{BodyHasher, Sha256Digest};

/// Whether the receipt of the exchange was verified.
pub type ReceiptVerified = oneshot::Receiver<bool>;

/// Called once: with the digest of the whole body, or `None` if it was not passed on completely.
pub type OnEnd = Box<dyn FnOnce(Option<Sha256Digest>) -> ReceiptVerified + Send + Sync>;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum ResponseError {
    #[error("the service interrupted its response")]
    Interrupted,
    #[error("the response's receipt was not verified")]
    ReceiptNotVerified,
}

/// Whether the end of the body waits for the receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    AtOnce,
    AfterReceipt,
}

pub struct ResponseBody<B> {
    inner: B,
    hashing: Option<Hashing>,
    check: Option<ReceiptVerified>,
    ending: Ending,
}

struct Hashing {
    hasher: BodyHasher,
    at_end: OnEnd,
}

impl<B> ResponseBody<B> {
    /// A body without a receipt.
    pub fn plain(inner: B) -> Self {
        Self {
            inner,
            hashing: None,
            check: None,
            ending: Ending::AtOnce,
        }
    }

    /// A body whose receipt is checked at its end.
    pub fn with_receipt(inner: B, ending: Ending, at_end: OnEnd) -> Self {
        let hashing = Some(Hashing {
            hasher: BodyHasher::new(),
            at_end,
        });
        Self {
            inner,
            hashing,
            check: None,
            ending,
        }
    }

    fn finish(&mut self) {
        let Some(Hashing { hasher, at_end }) = self.hashing.take() else {
            return;
        };
        let verified = at_end(Some(hasher.finish()));
        if self.ending == Ending::AfterReceipt {
            self.check = Some(verified);
        }
    }

    fn poll_receipt(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseError>>> {
        let Some(check) = self.check.as_mut() else {
            return Poll::Ready(None);
        };
        let outcome = std::task::ready!(Pin::new(check).poll(cx));
        self.check = None;
        match outcome {
            Ok(true) => Poll::Ready(None),
            Ok(false) | Err(_) => Poll::Ready(Some(Err(ResponseError::ReceiptNotVerified))),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = ResponseError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseError>>> {
        let this = &mut *self;
        if this.check.is_some() {
            return this.poll_receipt(cx);
        }
        match std::task::ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let (Some(hashing), Some(data)) = (this.hashing.as_mut(), frame.data_ref()) {
                    hashing.hasher.update(data);
                }
                // A server with a known length stops polling at the last byte.
                if this.inner.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(_)) => Poll::Ready(Some(Err(ResponseError::Interrupted))),
            None => {
                this.finish();
                this.poll_receipt(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.hashing.is_none() && self.check.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.ending {
            Ending::AtOnce => self.inner.size_hint(),
            // Sent in chunks: a client that counts bytes would take the last byte for the end.
            Ending::AfterReceipt => SizeHint::default(),
        }
    }
}

impl<B> Drop for ResponseBody<B> {
    fn drop(&mut self) {
        // The caller disconnected, or the service interrupted its response: the receipt is checked all the same,
        // without the digest of the response.
        if let Some(Hashing { at_end, .. }) = self.hashing.take() {
            drop(at_end(None));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    type Seen = Arc<Mutex<Option<Option<Sha256Digest>>>>;

    fn recording(answer: bool) -> (OnEnd, Seen) {
        let seen: Seen = Arc::default();
        let kept = Arc::clone(&seen);
        let at_end: OnEnd = Box::new(move |digest| {
            *kept.lock().unwrap() = Some(digest);
            let (tx, rx) = oneshot::channel();
            tx.send(answer).unwrap();
            rx
        });
        (at_end, seen)
    }

    fn frames(
        parts: Vec<Result<&'static [u8], ()>>,
    ) -> impl Body<Data = Bytes, Error = ()> + Unpin {
        StreamBody::new(futures_util::stream::iter(
            parts
                .into_iter()
                .map(|p| p.map(|b| Frame::data(Bytes::from_static(b)))),
        ))
    }

    #[tokio::test]
    async fn a_stream_is_hashed_in_order_and_ends_when_its_receipt_is_verified() {
        let (at_end, seen) = recording(true);
        let body = ResponseBody::with_receipt(
            frames(vec![Ok(b"da"), Ok(b"ta")]),
            Ending::AfterReceipt,
            at_end,
        );
        assert_eq!(&body.collect().await.unwrap().to_bytes()[..], b"data");
        assert_eq!(
            *seen.lock().unwrap(),
            Some(Some(Sha256Digest::hash(b"data")))
        );
    }

    #[tokio::test]
    async fn a_required_receipt_that_fails_interrupts_the_response() {
        let (at_end, _) = recording(false);
        let mut body = ResponseBody::with_receipt(
            Full::new(Bytes::from_static(b"x")),
            Ending::AfterReceipt,
            at_end,
        );
        assert_eq!(body.size_hint().exact(), None);
        assert!(body.frame().await.unwrap().is_ok());
        assert!(!body.is_end_stream());
        assert_eq!(
            body.frame().await.unwrap().err(),
            Some(ResponseError::ReceiptNotVerified)
        );
    }

    #[tokio::test]
    async fn a_receipt_that_is_not_required_delays_nothing() {
        let (at_end, seen) = recording(false);
        let mut body =
            ResponseBody::with_receipt(Full::new(Bytes::from_static(b"x")), Ending::AtOnce, at_end);
        assert_eq!(body.size_hint().exact(), Some(1));
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.is_end_stream());
        assert_eq!(*seen.lock().unwrap(), Some(Some(Sha256Digest::hash(b"x"))));
    }

    #[tokio::test]
    async fn a_response_that_the_caller_drops_has_no_digest() {
        let (at_end, seen) = recording(true);
        let mut body =
            ResponseBody::with_receipt(frames(vec![Ok(b"da"), Ok(b"ta")]), Ending::AtOnce, at_end);
        assert!(body.frame().await.unwrap().is_ok());
        drop(body);
        assert_eq!(*seen.lock().unwrap(), Some(None));
    }

    #[tokio::test]
    async fn an_interrupted_response_is_an_error_and_not_its_end() {
        let (at_end, seen) = recording(true);
        let body =
            ResponseBody::with_receipt(frames(vec![Ok(b"da"), Err(())]), Ending::AtOnce, at_end);
        assert_eq!(body.collect().await.err(), Some(ResponseError::Interrupted));
        assert_eq!(*seen.lock().unwrap(), Some(None));
    }
}
