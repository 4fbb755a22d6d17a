//! A response body that knows where its connection belongs.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use attest_core::SpkiDigest;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::AttestedChannel;
use crate::error::describe;
use crate::http1::Http1;

/// The connection under a response, until the response has ended.
pub(crate) struct Held {
    pub(crate) http: Http1,
    pub(crate) spki: SpkiDigest,
    pub(crate) home: Option<Arc<AttestedChannel>>,
}

impl Held {
    fn give_back(self) {
        if let Some(home) = self.home {
            home.keep(self.http, self.spki);
        }
    }
}

/// The response ended before it was complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("response interrupted: {cause}")]
pub struct BodyError {
    pub cause: String,
}

/// The body of a response. Read to its end, it gives the connection back to the channel; dropped
/// before that, it closes the connection, so that the peer stops working for nobody.
pub struct LeasedBody {
    body: Incoming,
    held: Option<Held>,
}

impl LeasedBody {
    pub(crate) fn new(body: Incoming, held: Held) -> Self {
        let mut leased = LeasedBody {
            body,
            held: Some(held),
        };
        // Nobody reads a body that is known to be empty.
        leased.release_at_end();
        leased
    }

    fn release_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(held) = self.held.take() {
            held.give_back();
        }
    }
}

impl Body for LeasedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                self.release_at_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.held = None;
                Poll::Ready(Some(Err(BodyError {
                    cause: describe(&error),
                })))
            }
            None => {
                self.release();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
