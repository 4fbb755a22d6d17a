//! Small documents of the service (receipts, sessions, reports) over the attested channel.

use std::sync::Arc;
use std::time::Duration;

use attest_channel::{AttestedChannel, Lease};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};

pub const MAX_RECEIPT: usize = 64 << 10;
pub const MAX_MODELS: usize = 4 << 20;
pub const MAX_SESSION: usize = 8 << 20;
pub const MAX_REPORT: usize = attest_channel::MAX_REPORT;

/// A receipt exists once the response is complete on the service's side, which may be a moment
/// after it is complete on ours.
const WAITS_MS: [u64; 7] = [0, 50, 100, 200, 400, 800, 1600];
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a document could not be had, and whether it may be there a moment later.
#[derive(Debug, PartialEq, Eq)]
pub struct NotHad {
    pub why: String,
    /// The status of the answer, where there was one.
    pub status: Option<StatusCode>,
    pub maybe_later: bool,
}

impl NotHad {
    fn for_good(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            status: None,
            maybe_later: false,
        }
    }

    fn for_now(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            status: None,
            maybe_later: true,
        }
    }
}

/// Asks again for a while if the document may still appear.
pub async fn patiently(
    channel: &Arc<AttestedChannel>,
    path: &str,
    authorization: Option<&HeaderValue>,
    limit: usize,
) -> Result<Bytes, NotHad> {
    let mut last = NotHad::for_good("not asked");
    for wait in WAITS_MS {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        last = match once(channel, path, authorization, limit).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) if error.maybe_later => error,
            Err(error) => return Err(error),
        };
    }
    Err(last)
}

pub async fn once(
    channel: &Arc<AttestedChannel>,
    path: &str,
    authorization: Option<&HeaderValue>,
    limit: usize,
) -> Result<Bytes, NotHad> {
    match tokio::time::timeout(PATIENCE, get(channel, path, authorization, limit)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(NotHad::for_good("no answer in time")),
    }
}

async fn get(
    channel: &Arc<AttestedChannel>,
    path: &str,
    authorization: Option<&HeaderValue>,
    limit: usize,
) -> Result<Bytes, NotHad> {
    let lease = channel
        .lease()
        .await
        .map_err(|e| NotHad::for_now(e.to_string()))?;
    get_on(lease, path, authorization, limit).await
}

/// The same on a connection that is held already, within the same time.
pub async fn once_on(
    lease: Lease,
    path: &str,
    authorization: Option<&HeaderValue>,
    limit: usize,
) -> Result<Bytes, NotHad> {
    match tokio::time::timeout(PATIENCE, get_on(lease, path, authorization, limit)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(NotHad::for_good("no answer in time")),
    }
}

async fn get_on(
    lease: Lease,
    path: &str,
    authorization: Option<&HeaderValue>,
    limit: usize,
) -> Result<Bytes, NotHad> {
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = path.parse().map_err(|_| NotHad::for_good("unusable id"))?;
    if let Some(value) = authorization {
        request.headers_mut().insert(AUTHORIZATION, value.clone());
    }
    let response = lease
        .send(request)
        .await
        .map_err(|e| NotHad::for_now(e.to_string()))?;
    let status = response.status();
    if status != StatusCode::OK {
        let passing = status == StatusCode::NOT_FOUND
            || status == StatusCode::TOO_MANY_REQUESTS
            || status.is_server_error();
        return Err(NotHad {
            why: format!("status {}", status.as_u16()),
            status: Some(status),
            maybe_later: passing,
        });
    }
    match Limited::new(response.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(_) => Err(NotHad::for_now("broken off or too large")),
    }
}
