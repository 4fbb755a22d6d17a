//! A response body that returns its connection to the pool once it has been read.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::describe;
use super::pool::{KnownPeer, Leased};

/// The response ended before it was complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("response interrupted: {cause}")]
pub struct BodyError {
    pub cause: String,
}

/// The body of a response. Read to its end, it puts the connection back into its pool; dropped before that, it closes
/// the connection, so that the peer stops generating an answer that no client reads.
pub struct LeasedBody<P: KnownPeer> {
    incoming: Incoming,
    /// Polled by the body while it streams; taken when the body is complete or has failed.
    leased: Option<Leased<P>>,
}

impl<P: KnownPeer> LeasedBody<P> {
    pub(super) fn new(incoming: Incoming, leased: Leased<P>) -> Self {
        let mut body = LeasedBody {
            incoming,
            leased: Some(leased),
        };
        // An empty body is never polled, so its connection is put back here.
        if body.incoming.is_end_stream() {
            body.put_back();
        }
        body
    }

    fn put_back(&mut self) {
        if let Some(leased) = self.leased.take() {
            leased.put_back();
        }
    }
}

impl<P: KnownPeer> Body for LeasedBody<P> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        // Without a connection what has been parsed before is left, or the end.
        let polled = match &mut this.leased {
            Some(leased) => leased.connection.poll_body(&mut this.incoming, cx),
            None => Pin::new(&mut this.incoming).poll_frame(cx),
        };
        match &polled {
            // With the last bytes and not with the poll after them: a reader that knows the length does not poll again.
            Poll::Ready(Some(Ok(_))) if this.incoming.is_end_stream() => this.put_back(),
            Poll::Ready(None) => this.put_back(),
            // The framing is lost: closing is the only safe use of this connection.
            Poll::Ready(Some(Err(_))) => this.leased = None,
            _ => {}
        }
        polled.map_err(|error| BodyError {
            cause: describe(&error),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
