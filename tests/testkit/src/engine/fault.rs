//! Failures on request: by the header `x-demo-engine-fault`, or by asking for a model of that name.

use axum::response::Response;
use http::HeaderMap;

use super::reply;

pub const HEADER: &str = "x-demo-engine-fault";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `fail-NNN`: refuse with this status.
    Status(u16),
    /// `hang`: take the request and never answer.
    Hang,
    /// `reset-mid-stream`: break the connection half-way through the answer.
    ResetMidStream,
    /// `slow-stream`: pause before every chunk.
    SlowStream,
}

impl Fault {
    pub fn asked_for(headers: &HeaderMap, model: &str) -> Option<Self> {
        headers
            .get(HEADER)
            .and_then(|value| value.to_str().ok())
            .and_then(Self::named)
            .or_else(|| Self::named(model))
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "hang" => Some(Self::Hang),
            "reset-mid-stream" => Some(Self::ResetMidStream),
            "slow-stream" => Some(Self::SlowStream),
            _ => name.strip_prefix("fail-")?.parse().ok().map(Self::Status),
        }
    }
}

/// An error whose text repeats the prompt.
pub fn refusal(status: u16, body: &[u8]) -> Response {
    let quoted = String::from_utf8_lossy(&body[..body.len().min(2048)]);
    let mut response = reply::error(
        status,
        &format!("demo-engine refused this request: {quoted}"),
    );
    if status == 429 {
        response
            .headers_mut()
            .insert("retry-after", http::HeaderValue::from_static("7"));
    }
    response
}
