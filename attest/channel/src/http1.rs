//! One HTTP/1.1 connection with the task that drives it. The task dies with the value: a
//! connection nobody holds is closed, whatever was under way on it.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use scrub::Scrubbed;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use crate::error::describe;
use crate::{ChannelError, Origin, SendError};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// hyper's smallest allowed buffer.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// How long a connection whose last response has just ended may take to be ready again.
const SETTLE: Duration = Duration::from_millis(20);

pub(crate) struct Http1 {
    sender: SendRequest<RequestBody>,
    driver: OwnedTask,
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
        let (sender, connection) = Builder::new()
            .max_buf_size(buffer.max(SMALLEST_BUFFER))
            .handshake(TokioIo::new(Scrubbed::new(stream)))
            .await
            .map_err(|error| ChannelError::Http(describe(&error)))?;
        // An error of the connection reaches whoever waits for the response.
        let driver = OwnedTask::spawn(async move {
            let _ = connection.await;
        });
        Ok(Http1 { sender, driver })
    }

    pub(crate) async fn send(&mut self, request: Request<RequestBody>) -> Sent {
        match self.sender.try_send_request(request).await {
            Ok(response) => Sent::Answered(response),
            Err(mut failure) => match failure.take_message() {
                Some(request) => Sent::Unsent(request),
                None => Sent::Failed(SendError::interrupted(failure.error())),
            },
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed() && !self.driver.0.is_finished()
    }

    /// Whether another request may follow. Right after a response this can take the driver a
    /// moment to know.
    pub(crate) async fn settles(&mut self) -> bool {
        if self.sender.is_ready() {
            return true;
        }
        matches!(
            tokio::time::timeout(SETTLE, self.sender.ready()).await,
            Ok(Ok(()))
        )
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
