//! One HTTP/1.1 connection, polled by the task that uses it.
//!
//! The exchange polls the connection while it waits for the response, and the response's body
//! ([`LeasedBody`](super::LeasedBody)) polls it while it streams. A chunk therefore reaches its reader without changing
//! tasks, and dropping the connection closes it at once. An idle connection is not polled: whether its peer has
//! closed it is checked when it is taken from the pool, and again before a request is written.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::stream::Stream;
use scrub::Scrubbed;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of any request.
pub type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// Every read is into a buffer of this size: enough for a response head of 64 KiB, and scrubbed completely when the
/// connection becomes idle. A buffer that grows would keep earlier bytes in the part that scrubbing does not reach.
const READ_BUFFER: usize = 72 * 1024;

/// A response with more header fields than this is refused.
const MAX_FIELDS: usize = 200;

type Driver = http1::Connection<TokioIo<Scrubbed<Stream>>, RequestBody>;

/// An open connection.
pub struct Connection {
    sender: http1::SendRequest<RequestBody>,
    /// Reads and writes the socket, only while it is polled. `None` once the connection is closed.
    driver: Option<Pin<Box<Driver>>>,
}

/// Why a request has no response.
#[derive(Debug)]
pub enum Unanswered {
    /// No byte of the request was written. It is returned, and can be sent on another connection.
    NotSent(Box<Request<RequestBody>>),
    /// The peer may have read the request.
    MaybeSent(hyper::Error),
}

impl Connection {
    pub async fn open(stream: Stream) -> Result<Self, hyper::Error> {
        let mut connection = Self::start(Scrubbed::new(stream)).await?;
        poll_fn(|cx| {
            // The connection tells the sender, in the same task, that it is ready: polled first, it does so before the
            // sender asks.
            drive(&mut connection.driver, cx);
            connection.sender.poll_ready(cx)
        })
        .await?;
        Ok(connection)
    }

    /// Only allocates; never waits.
    async fn start(io: Scrubbed<Stream>) -> Result<Self, hyper::Error> {
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

    /// Whether the connection is open and in no exchange, so that it can take a request now.
    pub fn is_usable(&mut self) -> bool {
        // The task is not woken by this poll. The next exchange on the connection polls it again.
        drive(&mut self.driver, &mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }

    /// The same connection with a new HTTP state, to be kept while it is idle: hyper's write buffer still holds the last
    /// request's head, and with it an API key. `None` if the connection is closed or in an exchange, if bytes are still to
    /// be written, or if bytes have arrived that are no answer to a request of ours.
    pub(super) fn into_idle(mut self) -> Option<Self> {
        if !self.is_usable() {
            return None;
        }
        let parts = (*Pin::into_inner(self.driver.take()?)).into_parts();
        let io = parts.io.into_inner();
        if !io.is_flushed() || !parts.read_buf.is_empty() {
            return None;
        }
        match pin!(Self::start(io)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(started) => started.ok(),
            Poll::Pending => None,
        }
    }

    /// Sends one request and returns the response's head. Its body is read through [`poll_body`](Self::poll_body). If the
    /// future is dropped, the connection is not usable again.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        if !self.is_usable() {
            return Err(Unanswered::NotSent(Box::new(request)));
        }
        let mut answer = pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        // Each poll drives the connection first: it writes the request and reads what `answer` waits for.
        let response = poll_fn(|cx| {
            drive(driver, cx);
            answer.as_mut().poll(cx)
        });
        // hyper returns the request if it wrote no byte of it.
        response
            .await
            .map_err(|mut failure| match failure.take_message() {
                Some(request) => Unanswered::NotSent(Box::new(request)),
                None => Unanswered::MaybeSent(failure.into_error()),
            })
    }

    /// The next frame of `body`, which is the body of this connection's response.
    pub(crate) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut *body).poll_frame(cx);
        if polled.is_ready() {
            return polled;
        }
        // The connection fills the body. It is driven only when no parsed data is left, and so reads no faster than the
        // reader takes.
        drive(&mut self.driver, cx);
        Pin::new(body).poll_frame(cx)
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

/// Any body as the body of a request.
pub fn boxed<B>(body: B) -> RequestBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// hyper's description, with that of the error below it, which may be from TLS or the socket. It describes the event, never
/// the bytes.
pub(crate) fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
