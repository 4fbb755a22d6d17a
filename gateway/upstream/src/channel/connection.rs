//! One HTTP/1.1 connection, driven by whoever is using it.
//!
//! There is no task per connection: the exchange polls the connection itself while it waits for the response, and
//! whoever reads the response's body ([`super::pool::PooledBody`]) polls it while it streams. A chunk therefore reaches the
//! client without changing tasks, and dropping the connection closes it on the spot.

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

/// Every read is into a buffer of this size: enough for a head of 64 KiB, and scrubbed whole when the connection goes
/// idle. One that grows by need would keep what was read before in the part that the scrubbing cannot reach.
const READ_BUFFER: usize = 72 * 1024;
/// More header fields than this in a response are refused.
const MAX_FIELDS: usize = 200;

type Driver = http1::Connection<TokioIo<Scrubbed<Stream>>, PromptBody>;

/// An open connection that is not in the middle of an exchange.
pub(super) struct Connection {
    sender: http1::SendRequest<PromptBody>,
    driver: Option<Pin<Box<Driver>>>,
}

/// Why an exchange did not produce a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// Not one byte of the request was written: trying elsewhere is safe.
    #[error("the connection was gone before the request was sent")]
    NotSent,
    /// The other side received the request, did not process it, and asks for another connection.
    #[error("the upstream serves no more requests on this connection")]
    Misdirected,
    /// The request may have been read by the other side.
    #[error("no response arrived: {0}")]
    MaybeSent(NoResponse),
}

/// What came instead of a response that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoResponse {
    #[error("the connection broke")]
    Closed,
    #[error("its head cannot be read, or is too large")]
    Head,
}

impl NoResponse {
    fn of(error: &hyper::Error) -> Self {
        match error.is_parse() || error.is_parse_too_large() {
            true => NoResponse::Head,
            false => NoResponse::Closed,
        }
    }
}

impl Connection {
    pub(super) async fn open(stream: Stream) -> Result<Self, hyper::Error> {
        Self::on(Scrubbed::new(stream)).await
    }

    async fn on(io: Scrubbed<Stream>) -> Result<Self, hyper::Error> {
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

    /// The same connection with nothing left of the exchange before: the library keeps the buffer that it writes heads
    /// into, and keys with it. Only for one that is usable; none where something was left to write or has come unasked.
    pub(super) fn renewed(mut self) -> Option<Self> {
        let driver = *Pin::into_inner(self.driver.take()?);
        let parts = driver.into_parts();
        let io = parts.io.into_inner();
        if !io.is_flushed() || !parts.read_buf.is_empty() {
            return None;
        }
        // Nothing of it waits.
        Self::on(io).now_or_never()?.ok()
    }

    /// Lets the connection notice what happened on its socket; says whether it can take a request.
    pub(super) fn poll_usable(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Waits until a freshly opened connection takes requests.
    pub(super) async fn ready(&mut self) -> Result<(), SendFailure> {
        poll_fn(|cx| {
            self.drive(cx);
            self.sender.poll_ready(cx)
        })
        .await
        .map_err(|_| SendFailure::NotSent)
    }

    /// One request, one response head, and the connection, which whoever reads the body carries on.
    pub(super) async fn exchange(
        mut self,
        request: Request<PromptBody>,
    ) -> Result<(Response<Incoming>, Self), SendFailure> {
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
            Ok(response) => Ok((response, self)),
            Err(mut failure) => Err(match failure.take_message() {
                Some(_unsent) => SendFailure::NotSent,
                None => SendFailure::MaybeSent(NoResponse::of(failure.error())),
            }),
        }
    }

    /// Carries on what is under way.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, cx);
    }
}

/// Polls the connection; a finished one is dropped, which closes its socket.
fn drive(driver: &mut Option<Pin<Box<Driver>>>, cx: &mut Context<'_>) {
    if let Some(connection) = driver
        && connection.as_mut().poll(cx).is_ready()
    {
        *driver = None;
    }
}
