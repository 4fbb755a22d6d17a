//! A request's body, for its handler.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body as AxumBody;
use bytes::Bytes;
use futures_util::stream;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio::sync::mpsc;

use super::{BodyError, Connection};

/// A body that is read from its connection directly.
pub(in crate::listen) struct RequestBody<'a, Io>(pub &'a mut Connection<Io>);

impl<Io: AsyncBufRead + AsyncWrite + Unpin> Body for RequestBody<'_, Io> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.0.poll_body(cx);
        polled.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_request_read()
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.reader.announced() {
            Some(length) => SizeHint::with_exact(length),
            None => SizeHint::default(),
        }
    }
}

/// The end that a body is fed through; `None` ends it.
pub(in crate::listen) type Feeder = mpsc::Sender<Option<Result<Bytes, BodyError>>>;

/// A body that a handler may keep, fed one piece at a time. Without its end it is an error.
pub(in crate::listen) fn fed_body() -> (Feeder, AxumBody) {
    let (feeder, mut pieces) = mpsc::channel(1);
    let next = move |cx: &mut Context<'_>| {
        let piece = pieces.poll_recv(cx);
        piece.map(|piece| piece.unwrap_or(Some(Err(BodyError::Closed))))
    };
    (feeder, AxumBody::from_stream(stream::poll_fn(next)))
}
