//! One HTTP/1.1 connection with the task that drives it. The [`Http1`] owns the task and aborts it when it is
//! dropped: a connection without an owner is closed, whatever was under way on it.
//!
//! Between two requests the connection is *renewed*: hyper is taken off the stream and put on it again,
//! because it keeps the buffer that it wrote heads (and API keys) into.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use scrub::Scrubbed;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::client::TlsStream;

use crate::error::{ChannelError, SendError, describe};
use crate::origin::Origin;
use crate::task::OwnedTask;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// Every read is into a buffer of this size: enough for a response head of 64 KiB, and scrubbed whole when the
/// connection goes idle. A buffer that grows as needed would keep earlier bytes in the part that scrubbing
/// cannot reach.
const READ_BUFFER: usize = 72 * 1024;

/// A response with more header fields than this is refused.
const MAX_FIELDS: usize = 200;

/// How long a connection whose last response has just ended may take to be ready again.
const READY_TIMEOUT: Duration = Duration::from_millis(100);

/// How long a connection that is being renewed may still be busy with its last exchange.
const IDLE_TIMEOUT: Duration = Duration::from_millis(100);

pub(crate) struct Http1 {
    sender: Sender,
    driver: OwnedTask,
    /// To the driver. Capacity one: the next renewal is requested only after this one has returned a sender.
    renewals: mpsc::Sender<Renewal>,
}

type RequestSender = SendRequest<RequestBody>;
type Driver = Connection<TokioIo<Scrubbed<TlsStream<Scrubbed<TcpStream>>>>, RequestBody>;

/// Where requests are sent to, in turn: `Ready` → (`release`) → `Renewing` → (`becomes_ready`) → `Ready`, or `Closed`.
enum Sender {
    Ready(RequestSender),
    /// The driver renews the connection and sends another sender when that is done.
    Renewing(oneshot::Receiver<RequestSender>),
    /// The connection ended, or its renewal failed. Final.
    Closed,
}

/// A request to the driver: renew the connection once it is idle.
struct Renewal {
    sender: RequestSender,
    renewed: oneshot::Sender<RequestSender>,
}

pub(crate) enum Sent {
    Answered(Response<Incoming>),
    /// Nothing was written; the request is returned.
    Unsent(Request<RequestBody>),
    Failed(SendError),
}

impl Http1 {
    pub(crate) async fn start(
        stream: TlsStream<Scrubbed<TcpStream>>,
        buffer: usize,
    ) -> Result<Self, ChannelError> {
        let mut builder = Builder::new();
        builder
            .read_buf_exact_size(Some(buffer.max(READ_BUFFER)))
            .max_headers(MAX_FIELDS);
        let (sender, connection) = builder
            .handshake(TokioIo::new(Scrubbed::new(stream)))
            .await
            .map_err(|error| ChannelError::Http(describe(&error)))?;
        let (renewals, requested) = mpsc::channel(1);
        // The driver's error is not read here: the request that waits for its response gets it.
        let driver = OwnedTask::spawn(drive(builder, connection, requested));
        Ok(Http1 {
            sender: Sender::Ready(sender),
            driver,
            renewals,
        })
    }

    /// Called after an exchange: removes what it left in memory, by renewing the connection.
    pub(crate) fn release(&mut self) {
        let Sender::Ready(sender) = std::mem::replace(&mut self.sender, Sender::Closed) else {
            return;
        };
        let (renewed, receiver) = oneshot::channel();
        // Fails only if the driver has ended; then the sender stays `Closed`.
        if self.renewals.try_send(Renewal { sender, renewed }).is_ok() {
            self.sender = Sender::Renewing(receiver);
        }
    }

    pub(crate) async fn send(&mut self, request: Request<RequestBody>) -> Sent {
        self.becomes_ready().await;
        let Sender::Ready(sender) = &mut self.sender else {
            return Sent::Unsent(request);
        };
        // hyper returns the request if it wrote no byte of it. Anything else may have reached the peer.
        match sender.try_send_request(request).await {
            Ok(response) => Sent::Answered(response),
            Err(mut failure) => match failure.take_message() {
                Some(request) => Sent::Unsent(request),
                None => Sent::Failed(SendError::interrupted(failure.error())),
            },
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        let closed = match &self.sender {
            Sender::Ready(sender) => sender.is_closed(),
            // Not known yet: `becomes_ready` waits for it.
            Sender::Renewing(_) => false,
            Sender::Closed => true,
        };
        !closed && !self.driver.is_finished()
    }

    /// Waits until another request can be sent; `false` if the connection has closed. Right after a response the
    /// driver may need a moment to notice either.
    pub(crate) async fn becomes_ready(&mut self) -> bool {
        let deadline = Instant::now() + READY_TIMEOUT;
        if let Sender::Renewing(receiver) = &mut self.sender {
            self.sender = match timeout_at(deadline, receiver).await {
                Ok(Ok(sender)) => Sender::Ready(sender),
                _ => Sender::Closed,
            };
        }
        let Sender::Ready(sender) = &mut self.sender else {
            return false;
        };
        sender.is_ready() || matches!(timeout_at(deadline, sender.ready()).await, Ok(Ok(())))
    }
}

/// Drives the connection, and renews it on each request to do so, until the connection or its [`Http1`] ends.
async fn drive(builder: Builder, mut connection: Driver, mut requested: mpsc::Receiver<Renewal>) {
    loop {
        let Renewal {
            mut sender,
            renewed,
        } = tokio::select! {
            _ = &mut connection => return,
            Some(renewal) = requested.recv() => renewal,
        };
        // Idle: the request is written and the response is read to its end. A connection that is still busy with
        // either is closed, since bytes of that exchange would be taken for the next.
        let idle = tokio::select! {
            _ = &mut connection => return,
            ready = timeout(IDLE_TIMEOUT, sender.ready()) => matches!(ready, Ok(Ok(()))),
        };
        if !idle {
            return;
        }
        let parts = connection.into_parts();
        let io = parts.io.into_inner();
        // Not before `into_parts`: without a sender the connection would close itself.
        drop(sender);
        // Unflushed bytes would be lost. Bytes that were read ahead are no answer to a request of ours.
        if !io.is_flushed() || !parts.read_buf.is_empty() {
            return;
        }
        let Ok((sender, next)) = builder.handshake(TokioIo::new(io)).await else {
            return;
        };
        connection = next;
        // The `Http1` was dropped in the meantime.
        if renewed.send(sender).is_err() {
            return;
        }
    }
}

/// Puts `request` into the form that is sent to this origin: path in origin form, and the origin's `Host`.
pub(crate) fn address<B>(request: &mut Request<B>, origin: &Origin) -> Result<(), WrongOrigin> {
    if let Some(authority) = request.uri().authority() {
        let same_scheme = request.uri().scheme_str() == Some("https");
        let ours = origin.authority().as_bytes();
        if !same_scheme || !authority.as_str().as_bytes().eq_ignore_ascii_case(ours) {
            return Err(WrongOrigin);
        }
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    }
    request
        .headers_mut()
        .insert(http::header::HOST, origin.authority().clone());
    Ok(())
}

pub(crate) struct WrongOrigin;

pub(crate) fn boxed<B>(body: B) -> RequestBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}
