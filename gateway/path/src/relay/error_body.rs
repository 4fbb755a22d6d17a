//! Reads as much of an upstream's error as is needed to translate it.

use std::future::poll_fn;
use std::time::{Duration, Instant, SystemTime};

use http::Response;
use tokio::time::timeout;

use super::decode::{Coding, Decoded};
use super::retry_after;
use super::upstream_refusal::{MAX_ERROR_BODY, UpstreamRefusal};
use gateway_upstream::channel::UpstreamBody;

/// The most time for an error's body.
const MAX_TIME: Duration = Duration::from_secs(10);

/// Reads an error response and translates it. A body that is cut off is used as far as it was received.
pub(super) async fn read(
    response: Response<UpstreamBody>,
    idle: Duration,
    now: SystemTime,
) -> (UpstreamRefusal, Vec<u8>) {
    let (head, body) = response.into_parts();
    let mut body = Decoded::new(body, Coding::from_headers(&head.headers));
    let mut read = Vec::new();
    let begun = Instant::now();
    loop {
        // Both limits: an upstream that sends an error byte by byte must not hold the request.
        let limit = idle.min(MAX_TIME.saturating_sub(begun.elapsed()));
        let next = poll_fn(|cx| body.poll_bytes(cx));
        let Ok(Some(Ok(bytes))) = timeout(limit, next).await else {
            break;
        };
        let room = MAX_ERROR_BODY - read.len();
        read.extend_from_slice(bytes.get(..room).unwrap_or(&bytes));
        if read.len() >= MAX_ERROR_BODY {
            break;
        }
    }
    let retry_after = retry_after::read(&head.headers, now);
    let refusal = UpstreamRefusal::read(head.status.as_u16(), retry_after, &read);
    (refusal, read)
}

/// Whether a refusal is about `stream_options`, which some engines do not know.
pub(super) fn is_about_stream_options(status: u16, body: &[u8]) -> bool {
    const NAMES: [&[u8]; 2] = [b"stream_options", b"include_usage"];
    let named = |name: &[u8]| memchr::memmem::find(body, name).is_some();
    matches!(status, 400 | 422) && NAMES.iter().any(|name| named(name))
}
