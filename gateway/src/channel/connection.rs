//! One HTTP/1.1 connection, driven by whoever is using it.
//!
//! There is no task per connection: the exchange polls the connection itself while it waits for the response, and
//! the response body polls it while it streams. A chunk therefore reaches the client without changing tasks, and
//! dropping the body closes the connection on the spot.

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use scrub::Scrubbed;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use super::pool::Pool;
use super::prompt_body::PromptBody;
use super::stream::Stream;

/// The smallest that hyper allows: enough for a response head, and scrubbed whole when the connection goes idle.
const READ_BUFFER: usize = 8 * 1024;

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
    /// The request may have been read by the other side.
    #[error("the connection broke before a response arrived")]
    MaybeSent,
}

impl Connection {
    pub(super) async fn open(stream: Stream) -> Result<Self, hyper::Error> {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .handshake(TokioIo::new(Scrubbed::new(stream)))
            .await?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(driver)),
        })
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

    /// One request, one response head. The response body carries the connection on.
    pub(super) async fn exchange(
        mut self,
        request: Request<PromptBody>,
        home: &Arc<Pool>,
    ) -> Result<Response<PooledBody>, SendFailure> {
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
            Ok(response) => {
                let home = Arc::downgrade(home);
                Ok(response.map(|incoming| PooledBody::new(incoming, self, home)))
            }
            Err(mut failure) => Err(match failure.take_message() {
                Some(_unsent) => SendFailure::NotSent,
                None => SendFailure::MaybeSent,
            }),
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
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

/// A response body that returns its connection to the pool at its proper end and closes it otherwise.
pub struct PooledBody {
    incoming: Incoming,
    connection: Option<Connection>,
    home: Weak<Pool>,
}

impl PooledBody {
    fn new(incoming: Incoming, connection: Connection, home: Weak<Pool>) -> Self {
        Self {
            incoming,
            connection: Some(connection),
            home,
        }
    }

    /// At the body's end: keep the connection if it is ready for another request.
    fn settle(&mut self, cx: &mut Context<'_>) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if connection.poll_usable(cx)
            && let Some(home) = self.home.upgrade()
        {
            home.put_back(connection);
        }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let mut polled = Pin::new(&mut this.incoming).poll_frame(cx);
        if polled.is_pending()
            && let Some(connection) = &mut this.connection
        {
            connection.drive(cx);
            polled = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        match &polled {
            Poll::Ready(Some(Ok(_))) if this.incoming.is_end_stream() => this.settle(cx),
            Poll::Ready(None) => this.settle(cx),
            Poll::Ready(Some(Err(_))) => this.connection = None,
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
