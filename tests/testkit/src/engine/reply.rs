//! Responses: JSON in one piece, event streams chunk by chunk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

use super::fault::Fault;
use super::state::{Script, Shared, Watch};

const PAUSE: Duration = Duration::from_millis(200);

pub fn json(status: u16, value: &Value) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(value.to_string()))
        .expect("a fixed header and a known status")
}

pub fn error(status: u16, message: &str) -> Response {
    let kind = if status < 500 {
        "invalid_request_error"
    } else {
        "server_error"
    };
    json(
        status,
        &json!({"error": {"message": message, "type": kind, "param": null, "code": status}}),
    )
}

/// One `data:` event.
pub fn event(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}

/// The event that ends a stream.
pub fn done() -> Bytes {
    Bytes::from_static(b"data: [DONE]\n\n")
}

pub fn event_stream(shared: &Arc<Shared>, chunks: Vec<Bytes>, fault: Option<Fault>) -> Response {
    Response::builder()
        .status(200)
        .header("content-type", "text/event-stream; charset=utf-8")
        .header("cache-control", "no-cache")
        .body(chunked(shared, chunks, fault))
        .expect("fixed headers")
}

pub fn scripted(shared: &Arc<Shared>, script: Script) -> Response {
    Response::builder()
        .status(script.status)
        .header("content-type", script.content_type)
        .body(chunked(shared, script.chunks, None))
        .unwrap_or_else(|_| error(500, "the script has a bad status or content type"))
}

struct Progress {
    shared: Arc<Shared>,
    chunks: VecDeque<Bytes>,
    /// After how many more chunks the connection breaks.
    until_reset: Option<usize>,
    pause: Duration,
    watch: Watch,
}

/// A body that hands out one chunk at a time, each when it may leave.
fn chunked(shared: &Arc<Shared>, chunks: Vec<Bytes>, fault: Option<Fault>) -> Body {
    let progress = Progress {
        shared: shared.clone(),
        until_reset: (fault == Some(Fault::ResetMidStream)).then_some(chunks.len() / 2),
        chunks: chunks.into(),
        pause: if fault == Some(Fault::SlowStream) {
            PAUSE
        } else {
            Duration::ZERO
        },
        watch: shared.watch_for_hang_up(),
    };
    Body::from_stream(stream::unfold(Some(progress), |progress| async move {
        let mut progress = progress?;
        if progress.until_reset == Some(0) {
            progress.watch.finish();
            return Some((Err(std::io::Error::other("reset on request")), None));
        }
        let Some(chunk) = progress.chunks.pop_front() else {
            progress.watch.finish();
            return None;
        };
        tokio::time::sleep(progress.pause).await;
        progress.shared.next_chunk_may_leave().await;
        progress.until_reset = progress.until_reset.map(|left| left - 1);
        Some((Ok(chunk), Some(progress)))
    }))
}
