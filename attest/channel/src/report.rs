//! Fetching an attestation report on a connection whose key is not trusted yet (ACI/1 §4).

use std::time::Duration;

use attest_core::Nonce;
use bytes::{Buf, Bytes};
use http::{Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::timeout;

use crate::error::{Stage, describe};
use crate::http1::{Http1, Sent, address, boxed};
use crate::{ChannelError, Origin};

/// Larger reports are refused unread. A report with event log and collateral stays below 1 MiB.
pub const MAX_REPORT: usize = 4 * 1024 * 1024;

/// A challenge that nobody can have seen before.
pub(crate) fn fresh_nonce() -> Result<Nonce, ChannelError> {
    let mut bytes = [0u8; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ChannelError::NoRandomness)?;
    Ok(Nonce::from_bytes(bytes))
}

/// Asks for the report with collateral inside. Redirects are not followed: whoever another address
/// speaks for, it is not this connection.
pub(crate) async fn fetch(
    http: &mut Http1,
    origin: &Origin,
    nonce: &Nonce,
    patience: Duration,
) -> Result<Vec<u8>, ChannelError> {
    match timeout(patience, exchange(http, origin, nonce)).await {
        Ok(report) => report,
        Err(_) => Err(ChannelError::Timeout {
            stage: Stage::Report,
        }),
    }
}

async fn exchange(
    http: &mut Http1,
    origin: &Origin,
    nonce: &Nonce,
) -> Result<Vec<u8>, ChannelError> {
    let mut request = Request::get(format!("/v1/aci/attestation?nonce={nonce}&collateral=1"))
        .header(http::header::ACCEPT, "application/json")
        .body(boxed(Empty::<Bytes>::new()))
        .map_err(|error| ChannelError::Http(error.to_string()))?;
    address(&mut request, origin)
        .map_err(|_| ChannelError::Http("request is for another origin".to_owned()))?;
    let response = match http.send(request).await {
        Sent::Answered(response) => response,
        Sent::Unsent(_) => return Err(ChannelError::Http("connection closed".to_owned())),
        Sent::Failed(error) => return Err(ChannelError::Http(error.to_string())),
    };
    if response.status() != StatusCode::OK {
        return Err(ChannelError::ReportStatus(response.status().as_u16()));
    }
    read_bounded(response.into_body()).await
}

async fn read_bounded(mut body: Incoming) -> Result<Vec<u8>, ChannelError> {
    if body.size_hint().lower() > MAX_REPORT as u64 {
        return Err(ChannelError::ReportTooLarge);
    }
    let mut report = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ChannelError::Http(describe(&error)))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.remaining() > MAX_REPORT - report.len() {
            return Err(ChannelError::ReportTooLarge);
        }
        report.extend_from_slice(&data);
    }
    Ok(report)
}
