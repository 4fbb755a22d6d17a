//! 429 of a limit that an operator set, and the headers that say what is left, with the names and forms of OpenAI's API.

use std::time::Duration;

use http::header::HeaderValue;
use http::{HeaderMap, HeaderName, StatusCode};

use super::Shape;
use crate::quota::{Exhausted, LimitRefusal, RateState, RateWindow};

const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

pub(super) fn shape(refusal: &LimitRefusal) -> Shape {
    let id = refusal.limit.as_str();
    let (kind, what) = match refusal.what {
        Exhausted::Requests(period) => ("requests", format!("requests per {period}")),
        Exhausted::Tokens(period) => ("tokens", format!("tokens per {period}")),
        Exhausted::Concurrent => ("requests", "concurrent requests".to_owned()),
    };
    Shape {
        status: StatusCode::TOO_MANY_REQUESTS,
        kind,
        code: Some("rate_limit_exceeded"),
        param: None,
        message: format!("The limit {id} of {what} is reached. The request was not forwarded."),
    }
}

/// Adds what is left of the tightest windows.
pub fn add_headers(headers: &mut HeaderMap, state: &RateState) {
    for (names, window) in [(REQUESTS, state.requests), (TOKENS, state.tokens)] {
        let Some(RateWindow {
            limit,
            remaining,
            reset,
        }) = window
        else {
            continue;
        };
        let [limit_name, remaining_name, reset_name] = names;
        headers.insert(limit_name, HeaderValue::from(limit));
        headers.insert(remaining_name, HeaderValue::from(remaining));
        if let Ok(reset) = HeaderValue::from_str(&written(reset)) {
            headers.insert(reset_name, reset);
        }
    }
}

/// `6m0s`, `1s`, `20ms`: rounded up to seconds from one second on.
fn written(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return format!("{}ms", time.as_millis());
    }
    let secs = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let (hours, minutes, seconds) = (secs / 3600, secs / 60 % 60, secs % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_form_of_openais_headers() {
        for (millis, text) in [
            (0, "0ms"),
            (20, "20ms"),
            (1000, "1s"),
            (1001, "2s"),
            (360_000, "6m0s"),
            (86_399_500, "24h0m0s"),
        ] {
            assert_eq!(written(Duration::from_millis(millis)), text);
        }
    }
}
