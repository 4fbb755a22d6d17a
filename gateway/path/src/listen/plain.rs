//! Plain HTTP: metrics on loopback, and health for the operator's probes. These listeners have separate slots.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tower_service::Service as _;

use super::accept::{AcceptLog, Listener};
use super::http1::{Connection, HeadLimits, Received, ResponseTo};
use crate::flushes::Flushes;
use crate::slots::ConnectionSlot;
use gateway_base::descriptors::ConnectionLimits;
use gateway_base::errors::ApiError;
use gateway_base::metrics::Metrics;
use gateway_store::ledger::Ledger;

const TEXT: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// All routes of the metrics listener, as `METHOD PATH`.
pub const METRICS_PATHS: [&str; 1] = ["GET /metrics"];
/// For a connection with its one exchange.
const TIMEOUT: Duration = Duration::from_secs(10);
const LIMITS: ConnectionLimits = ConnectionLimits {
    authenticated: 0,
    unauthenticated: 32,
};

const HEAD_LIMITS: HeadLimits = HeadLimits {
    bytes: 16 * 1024,
    fields: 100,
};

/// Binds a plain listener.
pub fn bind_plain(address: SocketAddr) -> std::io::Result<Listener> {
    Listener::bind(address, LIMITS)
}

/// Serves `GET /metrics` until dropped.
pub async fn serve_metrics(listener: Listener, metrics: Arc<Metrics>, ledger: Arc<Ledger>) {
    let mut log = AcceptLog::default();
    loop {
        let (tcp, slot) = listener.next(&mut log).await;
        let (metrics, ledger) = (metrics.clone(), ledger.clone());
        let respond = async move |request| metrics_response(&request, &metrics, &ledger);
        tokio::spawn(exchange(tcp, slot, respond));
    }
}

/// Serves `/healthz` and `/readyz` until dropped.
pub async fn serve_health(listener: Listener, router: Router) {
    let mut log = AcceptLog::default();
    loop {
        let (tcp, slot) = listener.next(&mut log).await;
        let mut router = router.clone();
        let respond = async move |request| {
            let Ok(response) = router.call(request).await;
            response
        };
        tokio::spawn(exchange(tcp, slot, respond));
    }
}

/// Serves one request on a connection. Its body is not read.
async fn exchange<F>(tcp: TcpStream, slot: ConnectionSlot, respond: impl FnOnce(Request<Body>) -> F)
where
    F: Future<Output = Response<Body>>,
{
    let mut http = Connection::new(BufReader::new(tcp), HEAD_LIMITS);
    let exchange = async {
        let mut to = ResponseTo {
            version: Version::HTTP_11,
            is_head_method: false,
            closes: true,
        };
        let response = match poll_fn(|cx| http.poll_head(cx)).await {
            Ok(Received::Request(head)) => {
                to.version = head.request.version;
                to.is_head_method = head.request.method == Method::HEAD;
                respond(Request::from_parts(head.request, Body::empty())).await
            }
            Ok(Received::Refused {
                fault,
                is_head_method,
            }) => {
                to.is_head_method = is_head_method;
                ApiError::Head(fault).into_response()
            }
            Ok(Received::Closed) | Err(_) => return,
        };
        http.discard_body().await;
        if http.send(response, to, &Flushes::default()).await.is_ok() {
            let _ = http.into_inner().shutdown().await;
        }
    };
    tokio::select! {
        // One exchange each: a peer that is slow or evicted repeats its request.
        _ = tokio::time::timeout(TIMEOUT, exchange) => {}
        () = slot.evicted() => {}
    }
}

fn metrics_response(request: &Request<Body>, metrics: &Metrics, ledger: &Ledger) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if request.method() != Method::GET {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    } else {
        metrics.observe_store(&ledger.counts());
        response.headers_mut().insert(CONTENT_TYPE, TEXT);
        *response.body_mut() = Body::from(metrics.render());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    use tokio::io::AsyncReadExt;

    /// What a plain listener answers to these bytes, without the date.
    async fn answered(request: &str) -> String {
        let listener = bind_plain((Ipv4Addr::LOCALHOST, 0).into()).expect("a listener");
        let client = TcpStream::connect(listener.address().expect("an address"));
        let mut log = AcceptLog::default();
        let (client, (tcp, slot)) = tokio::join!(client, listener.next(&mut log));
        let respond = async |request: Request<Body>| {
            Response::new(Body::from(request.uri().path().to_owned()))
        };
        let mut client = client.expect("a connection");
        client.write_all(request.as_bytes()).await.expect("written");
        exchange(tcp, slot, respond).await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("closed");
        let lines = answer.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with("date: ")).collect()
    }

    #[tokio::test]
    async fn one_request_is_answered_and_the_connection_closed() {
        let two = "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(
            answered(two).await,
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n/a"
        );
        assert_eq!(
            answered("HEAD /a HTTP/1.0\r\n\r\n").await,
            "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn a_malformed_request_is_refused() {
        for request in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/1.1\n",
        ] {
            let answer = answered(request).await;
            assert!(
                answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
                "{answer}"
            );
            assert!(answer.contains("invalid_request_head"), "{answer}");
        }
    }
}
