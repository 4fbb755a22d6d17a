//! One HTTP/1.1 connection with the task that drives it. The task dies with the value: a
//! connection nobody holds is closed, whatever was under way on it.

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
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::client::TlsStream;

use crate::error::describe;
use crate::{ChannelError, Origin, SendError};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// Every read is into a buffer of this size: enough for a response head of 64 KiB, and scrubbed whole when the
/// connection goes idle. One that grows by need would keep what was read before in the part that the scrubbing cannot
/// reach.
const READ_BUFFER: usize = 72 * 1024;

/// More header fields than this in a response are refused.
const MAX_FIELDS: usize = 200;

/// How long a connection whose last response has just ended may take to be ready again.
const SETTLE: Duration = Duration::from_millis(100);

/// How long a connection that is to be renewed may still be busy.
const UNTIL_IDLE: Duration = Duration::from_millis(100);

pub(crate) struct Http1 {
    sender: Sender,
    driver: OwnedTask,
    renewals: mpsc::Sender<Renewal>,
}

type RequestSender = SendRequest<RequestBody>;
type Driver = Connection<TokioIo<Scrubbed<TlsStream<Scrubbed<TcpStream>>>>, RequestBody>;

/// What requests are handed to.
enum Sender {
    Ready(RequestSender),
    /// The driver renews the connection and will hand over another.
    Renewing(oneshot::Receiver<RequestSender>),
    /// There is none any more.
    Closed,
}

/// Asks the driver to renew the connection once it is idle.
struct Renewal {
    sender: RequestSender,
    renewed: oneshot::Sender<RequestSender>,
}

/// A task that dies with this value.
pub(crate) struct OwnedTask(JoinHandle<()>);

impl OwnedTask {
    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        OwnedTask(tokio::spawn(task))
    }

    pub(crate) fn spawn_on(
        runtime: &Handle,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        OwnedTask(runtime.spawn(task))
    }
}

impl Drop for OwnedTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) enum Sent {
    Answered(Response<Incoming>),
    /// Nothing was written; the request is handed back.
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
        let (renewals, wanted) = mpsc::channel(1);
        // An error of the connection reaches whoever waits for the response.
        let driver = OwnedTask::spawn(drive(builder, connection, wanted));
        Ok(Http1 {
            sender: Sender::Ready(sender),
            driver,
            renewals,
        })
    }

    /// Nothing is under way any more: nothing of it is to be left. The library keeps the buffer that it writes heads
    /// into, and keys with it.
    pub(crate) fn release(&mut self) {
        let Sender::Ready(sender) = std::mem::replace(&mut self.sender, Sender::Closed) else {
            return;
        };
        let (renewed, receiver) = oneshot::channel();
        // There is room: one renewal at a time is asked for.
        if self.renewals.try_send(Renewal { sender, renewed }).is_ok() {
            self.sender = Sender::Renewing(receiver);
        }
    }

    pub(crate) async fn send(&mut self, request: Request<RequestBody>) -> Sent {
        self.settles().await;
        let Sender::Ready(sender) = &mut self.sender else {
            return Sent::Unsent(request);
        };
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
            Sender::Renewing(_) => false,
            Sender::Closed => true,
        };
        !closed && !self.driver.0.is_finished()
    }

    /// Whether another request may follow. Right after a response this can take the driver a
    /// moment to know.
    pub(crate) async fn settles(&mut self) -> bool {
        let deadline = Instant::now() + SETTLE;
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

/// Carries the connection on, and renews it whenever that is asked for, until it or its [`Http1`] ends.
async fn drive(builder: Builder, mut connection: Driver, mut wanted: mpsc::Receiver<Renewal>) {
    loop {
        let Renewal {
            mut sender,
            renewed,
        } = tokio::select! {
            _ = &mut connection => return,
            Some(renewal) = wanted.recv() => renewal,
        };
        // Idle: the response has been read to its end and the request been written. A connection that is still busy
        // with either is closed.
        let idle = tokio::select! {
            _ = &mut connection => return,
            ready = timeout(UNTIL_IDLE, sender.ready()) => matches!(ready, Ok(Ok(()))),
        };
        if !idle {
            return;
        }
        let parts = connection.into_parts();
        let io = parts.io.into_inner();
        // Only now: the connection would have closed.
        drop(sender);
        if !io.is_flushed() || !parts.read_buf.is_empty() {
            return;
        }
        let Ok((sender, next)) = builder.handshake(TokioIo::new(io)).await else {
            return;
        };
        connection = next;
        if renewed.send(sender).is_err() {
            return;
        }
    }
}

/// Makes `request` fit for this origin's wire: path in origin form, `Host` as it should be.
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
