//! HTTP/1.1 and HTTP/1.0, the server's side: one request after another on a connection.
//!
//! [`Connection`] reads heads and bodies and writes responses; what a request means is decided by its caller. There is one
//! parser ([`head`], [`reader`]), so no second one can find other requests in the same bytes (request smuggling, RFC 9112
//! §11.2).

mod body;
mod date;
mod head;
mod reader;
mod writer;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::flushes::Flushes;
pub(super) use body::{Feeder, RequestBody, fed_body};
pub(super) use head::{Head, HeadLimits};
use reader::Reader;
pub(super) use reader::{BodyError, Received};
pub(super) use writer::ResponseTo;
use writer::Writer;

/// A connection and what was read from it.
#[derive(Debug)]
pub(super) struct Connection<Io> {
    io: Io,
    reader: Reader,
    writer: Writer,
    /// The client waits for `100 Continue`.
    is_continue_due: bool,
}

/// Why a response was not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("the connection failed within a response")]
    Connection(#[from] io::Error),
    #[error("the client closed the connection")]
    Closed,
    /// Its body ended in an error, or before its announced length.
    #[error("the response was interrupted")]
    Interrupted,
}

impl<Io: AsyncBufRead + AsyncWrite + Unpin> Connection<Io> {
    pub fn new(io: Io, limits: HeadLimits) -> Self {
        Self {
            io,
            reader: Reader::new(limits),
            writer: Writer::new(),
            is_continue_due: false,
        }
    }

    pub fn into_inner(self) -> Io {
        self.io
    }

    /// Whether the connection waits for a request of which nothing has arrived.
    pub fn is_idle(&self) -> bool {
        self.reader.is_idle()
    }

    /// The next request. The body of the one before must have been read or discarded.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Received>> {
        let received = ready!(self.reader.poll_head(&mut self.io, cx))?;
        if let Received::Request(head) = &received {
            self.is_continue_due = head.expects_continue;
        }
        Poll::Ready(Ok(received))
    }

    /// Whether the current request was read to its end.
    pub fn is_request_read(&self) -> bool {
        self.reader.is_at_head()
    }

    /// The next bytes of the current request's body; `None` at its end.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if std::mem::take(&mut self.is_continue_due) && !self.is_request_read() {
            self.writer.go_on();
        }
        if !self.writer.is_empty()
            && let Err(error) = ready!(self.writer.poll_flush(&mut self.io, cx))
        {
            return Poll::Ready(Some(Err(error.into())));
        }
        self.reader.poll_body(&mut self.io, cx)
    }

    /// Ready when the client has closed the connection, after a request that was read to its end. Not while another
    /// request is already there.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_request_read() {
            return Poll::Pending;
        }
        match Pin::new(&mut self.io).poll_fill_buf(cx) {
            Poll::Ready(Ok([]) | Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// Reads the rest of a short body that has arrived and that no handler asked for. Returns whether the request was read to
    /// its end; if not, the beginning of the next one is unknown.
    pub async fn discard_body(&mut self) -> bool {
        self.is_continue_due = false;
        poll_fn(|cx| Poll::Ready(self.reader.discard_body(&mut self.io, cx))).await
    }

    /// Sends a response. `flushes` counts each time that everything sent so far has been written. Returns whether the
    /// response ends with the connection.
    pub async fn send<B>(
        &mut self,
        response: Response<B>,
        to: ResponseTo,
        flushes: &Flushes,
    ) -> Result<bool, SendError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (head, body) = response.into_parts();
        self.writer.head(&head, body.size_hint().exact(), to);
        drop(head);
        let ends_connection = to.closes || self.writer.ends_with_connection();
        let mut body = Some(body);
        poll_fn(|cx| self.poll_send(&mut body, flushes, cx)).await?;
        self.writer.release();
        Ok(ends_connection)
    }

    /// A body is dropped as soon as it has ended: the request is no longer in flight when the client has its last byte.
    fn poll_send<B>(
        &mut self,
        body: &mut Option<B>,
        flushes: &Flushes,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if self.poll_closed(cx).is_ready() {
            return Poll::Ready(Err(SendError::Closed));
        }
        loop {
            self.collect(body, cx)?;
            if self.writer.is_empty() {
                return match body {
                    Some(_) => Poll::Pending,
                    None => Poll::Ready(Ok(())),
                };
            }
            ready!(self.writer.poll_flush(&mut self.io, cx))?;
            flushes.complete();
        }
    }

    /// Collects what the body has ready.
    fn collect<B>(&mut self, sending: &mut Option<B>, cx: &mut Context<'_>) -> Result<(), SendError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        while let Some(body) = sending {
            let ended = self.writer.is_complete() || body.is_end_stream();
            let frame = match ended {
                true => None,
                false if !self.writer.has_room() => return Ok(()),
                false => match Pin::new(body).poll_frame(cx) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(frame) => frame,
                },
            };
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.writer.body(&bytes);
                    }
                }
                Some(Err(_)) => return Err(SendError::Interrupted),
                None => {
                    *sending = None;
                    if !self.writer.end() {
                        return Err(SendError::Interrupted);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod connection_tests;
#[cfg(test)]
mod tests;
