//! The local side: plain HTTP/1.1 on loopback. Accepts connections, serves them, and on shutdown waits for the
//! responses that are under way.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::http_rules::Target;
use super::refusal::Refusal;
use super::state::{LocalBody, Proxy, local};
use scrub::Scrubbed;

const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// The smallest buffer that hyper allows; it is scrubbed whole when the connection goes idle.
const BUFFER: usize = 8 << 10;
/// After a failed accept (out of descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` is ready, then drains.
pub async fn serve(listener: TcpListener, proxy: Arc<Proxy>, stop: impl Future<Output = ()>) {
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&proxy), stopped.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    // New connections are refused from here on; open ones finish their response.
    drop(listener);
    let _ = stopping.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, drained).await;
    proxy.tasks.drain(DRAIN_TIMEOUT).await;
}

async fn connection(stream: TcpStream, proxy: Arc<Proxy>, mut stopped: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let proxy = Arc::clone(&proxy);
        async move { Ok::<Response<LocalBody>, Infallible>(proxy.answer(request).await) }
    });
    let conn = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Scrubbed::new(stream)), service);
    tokio::pin!(conn);
    tokio::select! {
        _ = conn.as_mut() => return,
        _ = stopped.wait_for(|stopping| *stopping) => conn.as_mut().graceful_shutdown(),
    }
    let _ = conn.await;
}

impl Proxy {
    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<LocalBody> {
        let outcome = match Target::from_uri(request.uri()) {
            Target::Service(path) => self.forward(request, path).await,
            local if request.method() == Method::GET || request.method() == Method::HEAD => {
                Ok(self.local_page(&local))
            }
            Target::NotFound => Err(Refusal::Target),
            _ => Err(Refusal::Method),
        };
        outcome.unwrap_or_else(|refusal| {
            self.journal
                .line(&format!("refused: {}", refusal.message()));
            local(refusal.response())
        })
    }
}

/// Whether only this machine can connect to the address.
pub fn is_private(address: &SocketAddr) -> bool {
    address.ip().is_loopback()
}
