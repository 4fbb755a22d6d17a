//! A response body that returns its connection to the pool once it has been read.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::connection::ExchangeError;
use super::pool::{KnownPeer, Leased};

/// The body of a response. Read to its end, it puts the connection back into its pool; dropped before that, it closes
/// the connection, so that the peer stops generating an answer that no client reads.
pub struct LeasedBody<P: KnownPeer>(
    /// `None` once the body is complete or has failed.
    Option<Leased<P>>,
);

impl<P: KnownPeer> LeasedBody<P> {
    pub(super) fn new(leased: Leased<P>) -> Self {
        let mut body = LeasedBody(Some(leased));
        // An empty body is never polled, so its connection is put back here.
        body.put_back_at_end();
        body
    }

    fn put_back_at_end(&mut self) {
        if let Some(leased) = self.0.take_if(|leased| leased.connection.is_at_end()) {
            leased.put_back();
        }
    }
}

impl<P: KnownPeer> Body for LeasedBody<P> {
    type Data = Bytes;
    type Error = ExchangeError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        let this = self.get_mut();
        let Some(leased) = &mut this.0 else {
            return Poll::Ready(None);
        };
        let polled = ready!(leased.connection.poll_data(cx));
        match &polled {
            // The framing is lost: closing is the only safe use of this connection.
            Some(Err(_)) => this.0 = None,
            // With the last bytes and not with the poll after them: a reader that knows the length does not poll again.
            _ => this.put_back_at_end(),
        }
        Poll::Ready(polled.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Some(leased) => leased.connection.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}
