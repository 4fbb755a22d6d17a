//! The head of an upstream's response: which headers the client gets, and how the end of the body is announced.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A header of OpenAI's that clients show; passed on if it is a number.
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");

const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The headers that the client gets: those on this list and no others.
pub(super) fn passed_on(upstream: &HeaderMap) -> HeaderMap {
    // With room for the receipt's id and the three headers that every response gets.
    let mut headers = HeaderMap::with_capacity(6);
    if let Some(value) = text(upstream, &CONTENT_TYPE).and_then(listed_type) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
    }
    if let Some(value) = text(upstream, &CONTENT_ENCODING).and_then(listed_encoding) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(value));
    }
    if let Some(number) = text(upstream, &PROCESSING_MS).and_then(|ms| ms.parse::<u64>().ok()) {
        headers.insert(PROCESSING_MS, HeaderValue::from(number));
    }
    headers
}

/// The encodings that are passed on. A client cannot decode others, and their names could be any text.
fn listed_encoding(value: &str) -> Option<&'static str> {
    const LISTED: [&str; 6] = ["identity", "gzip", "x-gzip", "deflate", "br", "zstd"];
    let value = value.trim();
    LISTED
        .into_iter()
        .find(|listed| listed.eq_ignore_ascii_case(value))
}

/// The media types that are passed on, without and with the one parameter in use.
fn listed_type(value: &str) -> Option<&'static str> {
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let charset = parts.next().map(|part| part.replace(['"', ' '], ""));
    let utf8 = charset.is_some_and(|part| part.eq_ignore_ascii_case("charset=utf-8"));
    match (
        essence.eq_ignore_ascii_case(EVENTS),
        essence.eq_ignore_ascii_case(JSON),
    ) {
        (true, _) if utf8 => Some("text/event-stream; charset=utf-8"),
        (true, _) => Some(EVENTS),
        (_, true) if utf8 => Some("application/json; charset=utf-8"),
        (_, true) => Some(JSON),
        _ => None,
    }
}

/// The kind of a body, which decides how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    Events,
    Json,
    /// In a coding that is not decoded here.
    Encoded,
    /// Not declared, or declared as something else: it may be recognised by its beginning.
    Unknown,
}

impl MediaType {
    /// As declared by the head.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        match text(headers, &CONTENT_TYPE).and_then(listed_type) {
            Some(listed) if listed.starts_with(EVENTS) => MediaType::Events,
            Some(_) => MediaType::Json,
            None => MediaType::Unknown,
        }
    }

    /// As recognised by its first bytes.
    pub(super) fn recognise(beginning: &[u8]) -> Self {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        const FIELDS: [&[u8]; 5] = [b":", b"data:", b"event:", b"id:", b"retry:"];
        let text = beginning.strip_prefix(BYTE_ORDER_MARK).unwrap_or(beginning);
        let text = text.trim_ascii_start();
        if text.first() == Some(&b'{') {
            MediaType::Json
        } else if FIELDS.iter().any(|field| text.starts_with(field)) {
            MediaType::Events
        } else {
            MediaType::Unknown
        }
    }

    pub(super) fn value(self) -> Option<&'static str> {
        match self {
            MediaType::Events => Some(EVENTS),
            MediaType::Json => Some(JSON),
            MediaType::Encoded | MediaType::Unknown => None,
        }
    }
}

/// How the end of the upstream's body is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// This many bytes are still to come.
    Length(u64),
    Chunked,
    /// By the end of the connection, which looks the same as a failed connection.
    UntilClose,
}

impl Framing {
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        if headers.contains_key(TRANSFER_ENCODING) {
            return Framing::Chunked;
        }
        match text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok()) {
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        }
    }

    /// For a decoded body, whose length is not the announced one. Its end is still known.
    pub(super) fn without_length(self) -> Self {
        match self {
            Framing::Length(0) => self,
            Framing::Length(_) | Framing::Chunked => Framing::Chunked,
            Framing::UntilClose => Framing::UntilClose,
        }
    }

    /// Whether this many bytes are the complete body.
    pub(super) fn is_all(self, read: usize) -> bool {
        matches!(self, Framing::Length(length) if read as u64 >= length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_on_listed_media_types_in_our_spelling() {
        for (given, passed) in [
            ("application/json", Some("application/json")),
            (
                "Application/JSON; Charset=\"UTF-8\"",
                Some("application/json; charset=utf-8"),
            ),
            ("application/json; note=secret", Some("application/json")),
            (
                "text/event-stream;charset=utf-8",
                Some("text/event-stream; charset=utf-8"),
            ),
            ("text/html", None),
            ("application/octet-stream", None),
            ("secret", None),
            ("", None),
        ] {
            assert_eq!(listed_type(given), passed, "{given}");
        }
    }

    #[test]
    fn passes_on_listed_encodings_only() {
        assert_eq!(listed_encoding("GZIP "), Some("gzip"));
        assert_eq!(listed_encoding("br"), Some("br"));
        for other in ["", "secret", "gzip, secret", "gzip, br"] {
            assert_eq!(listed_encoding(other), None, "{other}");
        }
    }

    #[test]
    fn recognises_a_body_by_its_first_bytes() {
        for (beginning, found) in [
            ("data: {}", MediaType::Events),
            (": hi\n", MediaType::Events),
            ("\r\nevent: x", MediaType::Events),
            (" {\"id\"", MediaType::Json),
            ("\u{feff}{", MediaType::Json),
            ("<html>", MediaType::Unknown),
            ("", MediaType::Unknown),
        ] {
            assert_eq!(
                MediaType::recognise(beginning.as_bytes()),
                found,
                "{beginning}"
            );
        }
    }
}
