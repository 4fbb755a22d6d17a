//! One HTTP/1.1 connection, polled by the task that uses it.
//!
//! The exchange writes the request and reads the response's head; the response's body
//! ([`LeasedBody`](super::LeasedBody)) reads on. A chunk therefore reaches its reader without changing tasks, nothing is read
//! before its reader wants it, and dropping the connection closes it at once. An idle connection is not polled: whether its
//! peer has closed it is checked when it is taken from the pool, and again before a request is written.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::Response;
use http_body::SizeHint;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::framing::Framing;
use super::head;
use super::request::{OutgoingRequest, SLICES};
use super::stream::Stream;
use scrub::Scrubbed;

/// The room for the first read of an exchange. It is doubled whenever a read has filled it.
const FIRST_READ: usize = 8 * 1024;
const LARGEST_READ: usize = 32 * 1024;

/// An open connection.
pub struct Connection {
    io: Scrubbed<Stream>,
    /// What is still to be written of the request.
    sending: Option<Sending>,
    write_failed: bool,
    /// What was read and not parsed yet. Freed, and so wiped, at the end of each exchange.
    buffer: BytesMut,
    next_read: usize,
    /// What is still to come of the response's body.
    framing: Framing,
    /// Whether the connection may carry another exchange once this one has ended.
    keep_alive: bool,
    in_exchange: bool,
}

struct Sending {
    request: OutgoingRequest,
    written: usize,
}

/// Why a request has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// No byte of the request was written. It can be sent on another connection.
    NotSent,
    /// The peer may have read the request.
    MaybeSent(ExchangeError),
}

/// How an exchange failed. It describes the event, never the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    #[error("the connection was closed before the end")]
    Closed,
    #[error("the connection failed: {0}")]
    Io(io::ErrorKind),
    #[error("the response's head cannot be read")]
    Head,
    #[error("the response's head is too large")]
    HeadTooLarge,
    #[error("the body's chunks cannot be read")]
    Framing,
}

impl From<io::Error> for ExchangeError {
    fn from(error: io::Error) -> Self {
        ExchangeError::Io(error.kind())
    }
}

impl Connection {
    pub fn new(stream: Stream) -> Self {
        Self {
            io: Scrubbed::new(stream),
            sending: None,
            write_failed: false,
            buffer: BytesMut::new(),
            next_read: FIRST_READ,
            framing: Framing::Ended,
            keep_alive: true,
            in_exchange: false,
        }
    }

    /// Whether the connection is open and in no exchange, so that it can take a request now. A byte that arrives while it
    /// is idle is no answer to a request of ours.
    pub fn is_usable(&mut self) -> bool {
        if self.in_exchange {
            return false;
        }
        // The task is not woken by this poll. The next exchange on the connection polls it again.
        let cx = &mut Context::from_waker(Waker::noop());
        let mut byte = [0];
        let read = Pin::new(&mut self.io).poll_read(cx, &mut ReadBuf::new(&mut byte));
        read.is_pending()
    }

    /// Sends one request and returns the response's head. Its body is read through [`poll_data`](Self::poll_data). If the
    /// future is dropped, the connection is not usable again.
    pub(crate) async fn exchange(
        &mut self,
        request: &OutgoingRequest,
    ) -> Result<Response<()>, Unanswered> {
        if !self.is_usable() {
            return Err(Unanswered::NotSent);
        }
        self.in_exchange = true;
        self.sending = Some(Sending {
            request: request.clone(),
            written: 0,
        });
        let is_for_head_only = request.is_for_head_only();
        poll_fn(|cx| self.poll_head(is_for_head_only, cx))
            .await
            .map_err(Unanswered::MaybeSent)
    }

    fn poll_head(
        &mut self,
        is_for_head_only: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<()>, ExchangeError>> {
        // The peer may answer before it has read the whole request: reading does not wait for the end of writing.
        self.send(cx);
        loop {
            if let Some(head) = head::take(&mut self.buffer, is_for_head_only)? {
                (self.framing, self.keep_alive) = (head.framing, head.keep_alive);
                self.end_if_complete();
                return Poll::Ready(Ok(head.response));
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(ExchangeError::Closed));
            }
        }
    }

    /// The next piece of the response's body; `None` after its end.
    pub(crate) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ExchangeError>>> {
        self.send(cx);
        loop {
            let taken = self.framing.take(&mut self.buffer);
            self.end_if_complete();
            if let Some(piece) = taken.transpose() {
                return Poll::Ready(Some(piece));
            }
            if self.framing == Framing::Ended {
                return Poll::Ready(None);
            }
            // Read only when no data is left, and so no faster than the reader takes it.
            match (ready!(self.poll_fill(cx)), self.framing) {
                (Ok(0), Framing::UntilClose) => self.framing = Framing::Ended,
                (Ok(0), _) => return Poll::Ready(Some(Err(ExchangeError::Closed))),
                (Ok(_), _) => {}
                (Err(error), _) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// How much of the body is still to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.framing.size_hint()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.framing == Framing::Ended
    }

    fn end_if_complete(&mut self) {
        if self.framing == Framing::Ended {
            let sent = self.sending.is_none() && !self.write_failed;
            let clean = sent && self.buffer.is_empty();
            self.in_exchange = !(clean && self.keep_alive);
            (self.buffer, self.next_read) = (BytesMut::new(), FIRST_READ);
        }
    }

    /// Writes what is left of the request. A peer that reads no more of it may have answered; if it has not, reading fails.
    fn send(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(Err(_)) = self.poll_send(cx) {
            (self.sending, self.write_failed) = (None, true);
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(sending) = &mut self.sending {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = sending.request.after(sending.written, &mut slices);
            let slices = slices.get(..filled).unwrap_or_default();
            if slices.is_empty() {
                ready!(Pin::new(&mut self.io).poll_flush(cx))?;
                self.sending = None;
                break;
            }
            let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            sending.written += written;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads into the buffer; 0 at the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.buffer.reserve(self.next_read);
        let room = self.buffer.capacity() - self.buffer.len();
        let read = ready!(pin!(self.io.read_buf(&mut self.buffer)).poll(cx))?;
        if read == room {
            self.next_read = (self.next_read * 2).min(LARGEST_READ);
        }
        Poll::Ready(Ok(read))
    }
}
