//! Fetches small documents of the service (receipts, sessions, reports) over the attested channel.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};

use attest_channel::{AttestedChannel, Lease};

pub const MAX_RECEIPT: usize = 64 << 10;
pub const MAX_MODELS: usize = 4 << 20;
pub const MAX_SESSION: usize = 8 << 20;
pub const MAX_REPORT: usize = attest_channel::MAX_REPORT;

/// The pauses before each attempt. The service makes a receipt when it has completed the response, which may be a
/// moment after the proxy has received it.
const PAUSES_MS: [u64; 7] = [0, 50, 100, 200, 400, 800, 1600];
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a document could not be fetched, and whether another attempt may succeed.
#[derive(Debug, PartialEq, Eq)]
pub struct FetchError {
    pub reason: String,
    /// The status of the answer, where there was one.
    pub status: Option<StatusCode>,
    pub retry: bool,
}

impl FetchError {
    fn permanent(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            status: None,
            retry: false,
        }
    }

    fn transient(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            status: None,
            retry: true,
        }
    }
}

/// Retries while another attempt may succeed.
pub async fn fetch_with_retries(
    channel: &Arc<AttestedChannel>,
    path: &str,
    authorization: Option<&HeaderValue>,
    limit: usize,
) -> Result<Bytes, FetchError> {
    let mut last = FetchError::permanent("no attempt");
    for wait in PAUSES_MS {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        last = match fetch(channel, path, authorization, limit).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) if error.retry => error,
            Err(error) => return Err(error),
        };
    }
    Err(last)
}

/// One attempt on a leased connection.
pub async fn fetch(
    channel: &Arc<AttestedChannel>,
    path: &str,
    authorization: Option<&HeaderValue>,
    limit: usize,
) -> Result<Bytes, FetchError> {
    match tokio::time::timeout(TIMEOUT, get(channel, path, authorization, limit)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(FetchError::permanent("timeout")),
    }
}

async fn get(
    channel: &Arc<AttestedChannel>,
    path: &str,
    authorization: Option<&HeaderValue>,
    limit: usize,
) -> Result<Bytes, FetchError> {
    let lease = channel
        .lease()
        .await
        .map_err(|e| FetchError::transient(e.to_string()))?;
    get_on(lease, path, authorization, limit).await
}

/// One attempt on this connection.
pub async fn fetch_on(
    lease: Lease,
    path: &str,
    authorization: Option<&HeaderValue>,
    limit: usize,
) -> Result<Bytes, FetchError> {
    match tokio::time::timeout(TIMEOUT, get_on(lease, path, authorization, limit)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(FetchError::permanent("timeout")),
    }
}

async fn get_on(
    lease: Lease,
    path: &str,
    authorization: Option<&HeaderValue>,
    limit: usize,
) -> Result<Bytes, FetchError> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = path
        .parse()
        .map_err(|_| FetchError::permanent("unusable id"))?;
    if let Some(value) = authorization {
        request.headers_mut().insert(AUTHORIZATION, value.clone());
    }
    let response = lease
        .send(request)
        .await
        .map_err(|e| FetchError::transient(e.to_string()))?;
    let status = response.status();
    if status != StatusCode::OK {
        let transient = status == StatusCode::NOT_FOUND
            || status == StatusCode::TOO_MANY_REQUESTS
            || status.is_server_error();
        return Err(FetchError {
            reason: format!("status {}", status.as_u16()),
            status: Some(status),
            retry: transient,
        });
    }
    match Limited::new(response.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(_) => Err(FetchError::transient("interrupted or too large")),
    }
}
