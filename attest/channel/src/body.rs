//! A response body that returns its connection to the channel once it has been read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use attest_core::SpkiDigest;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::error::describe;
use crate::http1::Http1;
use crate::owner::ConnectionOwner;

/// The connection that a response is read from, until the response has ended.
pub(crate) struct LeasedConnection {
    pub(crate) http: Http1,
    pub(crate) spki: SpkiDigest,
    /// `None`: the connection is used once and then closed.
    pub(crate) owner: Option<Arc<dyn ConnectionOwner>>,
}

impl LeasedConnection {
    fn put_back(self) {
        if let Some(owner) = self.owner {
            owner.put_back(self.http, self.spki);
        }
    }
}

/// The response ended before it was complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("response interrupted: {cause}")]
pub struct BodyError {
    pub cause: String,
}

/// The body of a response. Read to its end, it puts the connection back into the channel's pool; dropped
/// before that, it closes the connection, so that the peer stops generating an answer that no client reads.
pub struct LeasedBody {
    body: Incoming,
    connection: Option<LeasedConnection>,
}

impl LeasedBody {
    pub(crate) fn new(body: Incoming, connection: LeasedConnection) -> Self {
        let mut leased = LeasedBody {
            body,
            // Taken exactly once: at the end of the body, or dropped (and so closed) with it.
            connection: Some(connection),
        };
        // An empty body is never polled, so its connection is put back here.
        leased.release_at_end();
        leased
    }

    fn release_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.put_back();
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
        // Reads what the connection's task has received; the connection is not polled here.
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                self.release_at_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                // The framing is lost: closing is the only safe use of this connection.
                self.connection = None;
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
