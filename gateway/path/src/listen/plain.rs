//! Plain HTTP: metrics on loopback, and health for the operator's probes. These listeners have separate slots.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;

use super::accept::{AcceptLog, Listener};
use crate::slots::ConnectionSlot;
use gateway_base::descriptors::ConnectionLimits;
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
        let service = service_fn(move |request: Request<Incoming>| {
            let response = metrics_answer(&request, &metrics, &ledger);
            async move { Ok::<_, Infallible>(response) }
        });
        tokio::spawn(exchange(tcp, slot, service));
    }
}

/// Serves `/healthz` and `/readyz` until dropped.
pub async fn serve_health(listener: Listener, router: Router) {
    let mut log = AcceptLog::default();
    let service = TowerToHyperService::new(router);
    loop {
        let (tcp, slot) = listener.next(&mut log).await;
        tokio::spawn(exchange(tcp, slot, service.clone()));
    }
}

/// Serves one request on a connection.
async fn exchange<S>(tcp: TcpStream, slot: ConnectionSlot, service: S)
where
    S: HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResBody: http_body::Body + 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(tcp), service);
    tokio::select! {
        // One exchange each: a peer that is slow or evicted repeats its request.
        _ = tokio::time::timeout(TIMEOUT, connection) => {}
        () = slot.evicted() => {}
    }
}

fn metrics_answer(
    request: &Request<Incoming>,
    metrics: &Metrics,
    ledger: &Ledger,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if request.method() != Method::GET {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    } else {
        metrics.observe_store(&ledger.counts());
        response.headers_mut().insert(CONTENT_TYPE, TEXT);
        *response.body_mut() = Full::from(metrics.render());
    }
    response
}
