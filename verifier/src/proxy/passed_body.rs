//! A response body on its way through: every frame is handed on as it arrives and hashed on the
//! way, none is kept. When the last byte has passed, the receipt can be asked for. If receipts are
//! required, the body *ends* only once its receipt was verified; otherwise it ends at once.

use std::pin::Pin;
use std::task::{Context, Poll};

use attest_core::{BodyHasher, Sha256Digest};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::sync::oneshot;

/// How the receipt of a finished exchange turned out.
pub type Settled = oneshot::Receiver<bool>;

/// Called once: with the digest of the whole body, or `None` if it did not pass completely.
pub type AtEnd = Box<dyn FnOnce(Option<Sha256Digest>) -> Settled + Send + Sync>;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum PassedError {
    #[error("the service broke off its response")]
    BrokenOff,
    #[error("the response's receipt was not verified")]
    ReceiptNotVerified,
}

/// Whether the end of the body waits for the receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    AtOnce,
    AfterReceipt,
}

pub struct PassedBody<B> {
    inner: B,
    watch: Option<Watch>,
    settling: Option<Settled>,
    ending: Ending,
}

struct Watch {
    hasher: BodyHasher,
    at_end: AtEnd,
}

impl<B> PassedBody<B> {
    /// A body nobody asks a receipt for.
    pub fn unwatched(inner: B) -> Self {
        Self {
            inner,
            watch: None,
            settling: None,
            ending: Ending::AtOnce,
        }
    }

    pub fn watched(inner: B, ending: Ending, at_end: AtEnd) -> Self {
        let watch = Some(Watch {
            hasher: BodyHasher::new(),
            at_end,
        });
        Self {
            inner,
            watch,
            settling: None,
            ending,
        }
    }

    fn finish(&mut self) {
        let Some(Watch { hasher, at_end }) = self.watch.take() else {
            return;
        };
        let settled = at_end(Some(hasher.finish()));
        if self.ending == Ending::AfterReceipt {
            self.settling = Some(settled);
        }
    }

    fn poll_settled(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PassedError>>> {
        let Some(settling) = self.settling.as_mut() else {
            return Poll::Ready(None);
        };
        let outcome = std::task::ready!(Pin::new(settling).poll(cx));
        self.settling = None;
        match outcome {
            Ok(true) => Poll::Ready(None),
            Ok(false) | Err(_) => Poll::Ready(Some(Err(PassedError::ReceiptNotVerified))),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for PassedBody<B> {
    type Data = Bytes;
    type Error = PassedError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PassedError>>> {
        let this = &mut *self;
        if this.settling.is_some() {
            return this.poll_settled(cx);
        }
        match std::task::ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let (Some(watch), Some(data)) = (this.watch.as_mut(), frame.data_ref()) {
                    watch.hasher.update(data);
                }
                // A server with a known length stops polling at the last byte.
                if this.inner.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(_)) => Poll::Ready(Some(Err(PassedError::BrokenOff))),
            None => {
                this.finish();
                this.poll_settled(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.watch.is_none() && self.settling.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.ending {
            Ending::AtOnce => self.inner.size_hint(),
            // Sent in chunks: a client that counts bytes would take the last one for the end.
            Ending::AfterReceipt => SizeHint::default(),
        }
    }
}

impl<B> Drop for PassedBody<B> {
    fn drop(&mut self) {
        if let Some(Watch { at_end, .. }) = self.watch.take() {
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

    fn recording(answer: bool) -> (AtEnd, Seen) {
        let seen: Seen = Arc::default();
        let kept = Arc::clone(&seen);
        let at_end: AtEnd = Box::new(move |digest| {
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
    async fn a_stream_is_hashed_in_order_and_ends_when_its_receipt_holds() {
        let (at_end, seen) = recording(true);
        let body = PassedBody::watched(
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
    async fn a_required_receipt_that_fails_breaks_the_response_off() {
        let (at_end, _) = recording(false);
        let mut body = PassedBody::watched(
            Full::new(Bytes::from_static(b"x")),
            Ending::AfterReceipt,
            at_end,
        );
        assert_eq!(body.size_hint().exact(), None);
        assert!(body.frame().await.unwrap().is_ok());
        assert!(!body.is_end_stream());
        assert_eq!(
            body.frame().await.unwrap().err(),
            Some(PassedError::ReceiptNotVerified)
        );
    }

    #[tokio::test]
    async fn a_receipt_that_is_not_required_delays_nothing() {
        let (at_end, seen) = recording(false);
        let mut body =
            PassedBody::watched(Full::new(Bytes::from_static(b"x")), Ending::AtOnce, at_end);
        assert_eq!(body.size_hint().exact(), Some(1));
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.is_end_stream());
        assert_eq!(*seen.lock().unwrap(), Some(Some(Sha256Digest::hash(b"x"))));
    }

    #[tokio::test]
    async fn a_caller_that_hangs_up_leaves_no_digest_to_compare() {
        let (at_end, seen) = recording(true);
        let mut body =
            PassedBody::watched(frames(vec![Ok(b"da"), Ok(b"ta")]), Ending::AtOnce, at_end);
        assert!(body.frame().await.unwrap().is_ok());
        drop(body);
        assert_eq!(*seen.lock().unwrap(), Some(None));
    }

    #[tokio::test]
    async fn a_service_that_breaks_off_is_not_taken_for_the_end() {
        let (at_end, seen) = recording(true);
        let body = PassedBody::watched(frames(vec![Ok(b"da"), Err(())]), Ending::AtOnce, at_end);
        assert_eq!(body.collect().await.err(), Some(PassedError::BrokenOff));
        assert_eq!(*seen.lock().unwrap(), Some(None));
    }
}
