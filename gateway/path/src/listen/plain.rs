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
