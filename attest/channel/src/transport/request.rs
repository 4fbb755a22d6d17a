//! A request as it is written: a head that may be rendered once for many requests, and a body in memory.

use std::io::{IoSlice, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Uri};

/// The head of a request, rendered up to the length of its body.
#[derive(Clone)]
pub struct RequestHead {
    rendered: Bytes,
    method: Method,
}

/// A request that can be written, and written again on another connection: its bytes are shared, not copied.
#[derive(Clone)]
pub struct OutgoingRequest {
    head: RequestHead,
    /// The end of the head: the body's length, if the request has one, and the empty line.
    end: HeadEnd,
    body: Arc<[Bytes]>,
}

#[derive(Clone, Copy)]
struct HeadEnd {
    bytes: [u8; 48],
    length: usize,
}

/// The most slices that one write passes to the system.
pub(super) const SLICES: usize = 8;

impl RequestHead {
    /// The head of requests for the path and query of `target`. The length of the body is set for each request.
    pub fn new(method: &Method, target: &Uri, headers: &HeaderMap) -> Self {
        let target = target
            .path_and_query()
            .map_or("/", |target| match target.as_str() {
                "" => "/",
                given => given,
            });
        let mut rendered = Vec::with_capacity(256);
        for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            rendered.extend_from_slice(part.as_bytes());
        }
        for (name, value) in headers {
            if name == CONTENT_LENGTH || name == TRANSFER_ENCODING {
                continue;
            }
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                rendered.extend_from_slice(part);
            }
        }
        Self {
            rendered: rendered.into(),
            method: method.clone(),
        }
    }

    /// A request with this head and the body that consists of `pieces`.
    pub fn with_body(&self, pieces: Arc<[Bytes]>) -> OutgoingRequest {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        let has_length = length > 0 || !matches!(self.method, Method::GET | Method::HEAD);
        OutgoingRequest {
            head: self.clone(),
            end: HeadEnd::new(has_length.then_some(length)),
            body: pieces,
        }
    }
}

impl HeadEnd {
    fn new(length: Option<u64>) -> Self {
        let mut end = Self {
            bytes: [0; 48],
            length: 0,
        };
        let mut rest = &mut end.bytes[..];
        // 16 and 4 bytes beside at most 20 digits: it always fits.
        let _ = match length {
            Some(length) => write!(rest, "content-length: {length}\r\n\r\n"),
            None => write!(rest, "\r\n"),
        };
        end.length = 48 - rest.len();
        end
    }
}

impl From<Request<Bytes>> for OutgoingRequest {
    fn from(request: Request<Bytes>) -> Self {
        let (head, body) = request.into_parts();
        RequestHead::new(&head.method, &head.uri, &head.headers).with_body([body].into())
    }
}

impl OutgoingRequest {
    /// Whether its response has no body, whatever the response's head says.
    pub(super) fn is_for_head_only(&self) -> bool {
        self.head.method == Method::HEAD
    }

    /// What follows the first `written` bytes, as far as it fits into `slices`; how many of them are filled.
    pub(super) fn after<'a>(&'a self, mut written: usize, slices: &mut [IoSlice<'a>]) -> usize {
        let end = self.end.bytes.get(..self.end.length).unwrap_or_default();
        let head = [&*self.head.rendered, end].into_iter();
        let mut filled = 0;
        for part in head.chain(self.body.iter().map(|piece| &**piece)) {
            let Some(rest) = part.get(written..) else {
                written -= part.len();
                continue;
            };
            written = 0;
            if rest.is_empty() {
                continue;
            }
            let Some(slice) = slices.get_mut(filled) else {
                break;
            };
            *slice = IoSlice::new(rest);
            filled += 1;
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn written_from(request: &OutgoingRequest, mut at: usize, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = request.after(at, &mut slices);
            let slices: Vec<&[u8]> = slices[..filled].iter().map(|slice| &**slice).collect();
            let bytes = slices.concat();
            if bytes.is_empty() {
                return all;
            }
            let taken = bytes.len().min(step);
            all.extend_from_slice(&bytes[..taken]);
            at += taken;
        }
    }

    fn post(pieces: &[&'static [u8]]) -> OutgoingRequest {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("a.test"));
        headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        headers.insert("content-length", HeaderValue::from_static("7"));
        let target = Uri::from_static("https://a.test/v1/x?y=1");
        let head = RequestHead::new(&Method::POST, &target, &headers);
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Bytes::from_static(piece))
            .collect();
        head.with_body(pieces.into())
    }

    #[test]
    fn a_request_is_written_in_any_number_of_parts() {
        let many: Vec<&[u8]> = vec![b"ab", b"", b"c", b"d", b"e", b"f", b"g", b"h", b"i", b"j"];
        let request = post(&many);
        let expected =
            b"POST /v1/x?y=1 HTTP/1.1\r\nhost: a.test\r\ncontent-length: 11\r\n\r\nabcdefghij";
        let expected = [&expected[..expected.len() - 10], &many.concat()].concat();
        let expected = String::from_utf8(expected)
            .expect("text")
            .replace("11", &many.concat().len().to_string());
        for step in [1, 7, 1000] {
            assert_eq!(written_from(&request, 0, step), expected.as_bytes());
        }
        assert_eq!(written_from(&request, expected.len(), 9), b"");
    }

    #[test]
    fn only_a_request_that_may_have_a_body_names_its_length() {
        assert!(written_from(&post(&[]), 0, 99).ends_with(b"\r\ncontent-length: 0\r\n\r\n"));
        let get = Request::get("/").body(Bytes::new()).expect("a request");
        assert_eq!(written_from(&get.into(), 0, 99), b"GET / HTTP/1.1\r\n\r\n");
    }
}
