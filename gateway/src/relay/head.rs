//! The head of an upstream's response: what of it the client gets, and how the message says where it ends.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A header of OpenAI's that clients show; passed on if it is a number.
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The headers the client gets: those on this list and no others.
pub(super) fn passed_on(upstream: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    for name in [CONTENT_TYPE, CONTENT_ENCODING] {
        if let Some(value) = upstream.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if let Some(number) = text(upstream, &PROCESSING_MS).and_then(|ms| ms.parse::<u64>().ok()) {
        headers.insert(PROCESSING_MS, HeaderValue::from(number));
    }
    headers
}

/// How the upstream's message says where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// This many bytes are still to come.
    Length(u64),
    Chunked,
    /// At the connection's end, which a broken connection looks like too.
    UntilClose,
}

impl Framing {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(TRANSFER_ENCODING) {
            return Framing::Chunked;
        }
        match text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok()) {
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        }
    }
}
