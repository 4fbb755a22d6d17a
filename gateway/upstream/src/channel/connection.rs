//! One HTTP/1.1 connection, polled by the task that uses it.
//!
//! There is no task per connection: the exchange polls the connection while it waits for the response, and the
//! response's body ([`super::pool::PooledBody`]) polls it while it streams. A chunk therefore reaches the client without
//! changing tasks, and dropping the connection closes it at once.

use futures_util::FutureExt as _;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use scrub::Scrubbed;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Context;

use super::prompt_body::PromptBody;
use super::stream::Stream;

/// The size of the read buffer: enough for a head of 64 KiB, and scrubbed completely when the connection becomes idle. A
/// buffer that grows would keep earlier bytes in the part that scrubbing does not reach.
const READ_BUFFER: usize = 72 * 1024;
/// More header fields than this in a response are refused.
const MAX_FIELDS: usize = 200;

type Driver = http1::Connection<TokioIo<Scrubbed<Stream>>, PromptBody>;

/// An open connection that is not in the middle of an exchange.
pub(super) struct Connection {
    sender: http1::SendRequest<PromptBody>,
    /// Reads and writes the socket, only while it is polled. `None` once the connection is closed.
    driver: Option<Pin<Box<Driver>>>,
}

/// Why an exchange did not produce a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// No byte of the request was written: it can be sent elsewhere.
    #[error("the connection was closed before the request was sent")]
    NotSent,
    /// The peer received the request, did not process it, and requires another connection (421).
    #[error("the upstream serves no more requests on this connection")]
    Misdirected,
    /// The peer may have read the request.
    #[error("no response arrived: {0}")]
    MaybeSent(NoResponse),
}

/// What arrived instead of a readable response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoResponse {
    #[error("the connection was interrupted")]
    Closed,
    #[error("its head cannot be read, or is too large")]
    Head,
}

impl NoResponse {
    fn from_error(error: &hyper::Error) -> Self {
        match error.is_parse() || error.is_parse_too_large() {
            true => NoResponse::Head,
            false => NoResponse::Closed,
        }
    }
}

impl Connection {
    pub(super) async fn open(stream: Stream) -> Result<Self, hyper::Error> {
        Self::with_io(Scrubbed::new(stream)).await
    }

    async fn with_io(io: Scrubbed<Stream>) -> Result<Self, hyper::Error> {
        let (sender, driver) = http1::Builder::new()
            .read_buf_exact_size(Some(READ_BUFFER))
            .max_headers(MAX_FIELDS)
            .handshake(TokioIo::new(io))
            .await?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(driver)),
        })
    }

    /// The same connection with a new HTTP state: the library's write buffer still holds the last request's head, and with
    /// it our API key. `None` if bytes are still to be written, or unrequested bytes have arrived.
    pub(super) fn into_idle(mut self) -> Option<Self> {
        let driver = *Pin::into_inner(self.driver.take()?);
        let parts = driver.into_parts();
        let io = parts.io.into_inner();
        if !io.is_flushed() || !parts.read_buf.is_empty() {
            return None;
        }
        // The handshake only allocates; it never waits.
        Self::with_io(io).now_or_never()?.ok()
    }

    /// Polls the connection, so that a close by the peer is noticed, and returns whether it can take a request.
    pub(super) fn poll_usable(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Waits until a new connection takes requests.
    pub(super) async fn ready(&mut self) -> Result<(), SendFailure> {
        poll_fn(|cx| {
            self.drive(cx);
            // The connection tells the sender, in the same task, that it is ready: polled first, it does so before the
            // sender asks.
            self.sender.poll_ready(cx)
        })
        .await
        .map_err(|_| SendFailure::NotSent)
    }

    /// Sends one request and returns the response's head and the connection, which the reader of the body has to poll.
    pub(super) async fn exchange(
        mut self,
        request: Request<PromptBody>,
    ) -> Result<(Response<Incoming>, Self), SendFailure> {
        // Each poll drives the connection first: it writes the request and reads what the sender waits for.
        let response = {
            let mut answer = pin!(self.sender.try_send_request(request));
            let driver = &mut self.driver;
            poll_fn(|cx| {
                drive(driver, cx);
                answer.as_mut().poll(cx)
            })
            .await
        };
        match response {
            // The connection goes with the response: the body is read by polling it.
            Ok(response) => Ok((response, self)),
            Err(mut failure) => Err(match failure.take_message() {
                Some(_unsent) => SendFailure::NotSent,
                None => SendFailure::MaybeSent(NoResponse::from_error(failure.error())),
            }),
        }
    }

    /// Polls the connection once.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, cx);
    }
}

/// Polls the connection; a finished one is dropped, which closes its socket.
fn drive(driver: &mut Option<Pin<Box<Driver>>>, cx: &mut Context<'_>) {
    if let Some(connection) = driver
        && connection.as_mut().poll(cx).is_ready()
    {
        // Finished in either way, an error included: the sender or the body reports it to the task that waits.
        *driver = None;
    }
}
