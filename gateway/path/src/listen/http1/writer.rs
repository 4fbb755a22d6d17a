//! Writes responses to a connection: heads, and bodies as they are framed for the client.
//!
//! Bytes are collected and written together: a head leaves with the first bytes of its body, and pieces of a body that are
//! ready together leave together.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version, response};
use tokio::io::AsyncWrite;

use super::date;

/// When this many bytes are collected, they are written before the body is asked for more.
const MAX_COLLECTED: usize = 16 * 1024;
/// Enough for a head and a short body.
const ROOM: usize = 2 * 1024;

/// What a response depends on besides itself.
#[derive(Clone, Copy, Debug)]
pub(in crate::listen) struct ResponseTo {
    /// The request's version, which is also the response's.
    pub version: Version,
    /// The response has the head that it would have to `GET`, and no body.
    pub is_head_method: bool,
    /// The connection is closed after the response.
    pub closes: bool,
}

/// How the end of a response's body is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// This many bytes are still to come.
    Length(u64),
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct Writer {
    collected: Vec<u8>,
    written: usize,
    framing: Framing,
}

impl Writer {
    pub fn new() -> Self {
        Self {
            collected: Vec::new(),
            written: 0,
            framing: Framing::Length(0),
        }
    }

    pub fn has_room(&self) -> bool {
        self.collected.len() < MAX_COLLECTED
    }

    pub fn is_empty(&self) -> bool {
        self.collected.is_empty()
    }

    /// Whether the body's announced length has been collected.
    pub fn is_complete(&self) -> bool {
        self.framing == Framing::Length(0)
    }

    /// The interim response that a client waits for before it sends a body.
    pub fn go_on(&mut self) {
        self.collected.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// A response's head. `length` is the body's, if it is known.
    pub fn head(&mut self, head: &response::Parts, length: Option<u64>, to: ResponseTo) {
        let out = &mut self.collected;
        out.reserve(ROOM);
        out.extend(match to.version {
            Version::HTTP_10 => b"HTTP/1.0 ",
            _ => b"HTTP/1.1 ",
        });
        out.extend(head.status.as_str().as_bytes());
        out.push(b' ');
        out.extend(
            head.status
                .canonical_reason()
                .unwrap_or_default()
                .as_bytes(),
        );
        out.extend(b"\r\n");
        for (name, value) in &head.headers {
            // These are decided here.
            if [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, DATE].contains(name) {
                continue;
            }
            field(out, name.as_str(), value.as_bytes());
        }
        let length = length.or_else(|| announced(&head.headers));
        self.framing = if has_no_body(head.status) {
            Framing::Length(0)
        } else if to.is_head_method {
            if let Some(length) = announced(&head.headers).or(length.filter(|length| *length > 0)) {
                content_length(out, length);
            }
            Framing::Length(0)
        } else if let Some(length) = length {
            content_length(out, length);
            Framing::Length(length)
        } else if to.version == Version::HTTP_10 {
            Framing::UntilClose
        } else {
            field(out, "transfer-encoding", b"chunked");
            Framing::Chunked
        };
        if to.closes || self.framing == Framing::UntilClose {
            field(out, "connection", b"close");
        } else if to.version == Version::HTTP_10 {
            field(out, "connection", b"keep-alive");
        }
        out.extend(b"date: ");
        date::write(out);
        out.extend(b"\r\n\r\n");
    }

    /// Whether the end of the body is the end of the connection.
    pub fn ends_with_connection(&self) -> bool {
        self.framing == Framing::UntilClose
    }

    /// Bytes of the body. Those beyond the announced length are dropped.
    pub fn body(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let out = &mut self.collected;
        match &mut self.framing {
            Framing::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let bytes = bytes.get(..most).unwrap_or(bytes);
                *left -= bytes.len() as u64;
                out.extend(bytes);
            }
            Framing::Chunked => {
                chunk_size(out, bytes.len());
                out.extend(bytes);
                out.extend(b"\r\n");
            }
            Framing::UntilClose => out.extend(bytes),
        }
    }

    /// The end of the body. Returns whether it has the announced length.
    pub fn end(&mut self) -> bool {
        match self.framing {
            Framing::Length(left) => left == 0,
            Framing::Chunked => {
                self.collected.extend(b"0\r\n\r\n");
                true
            }
            Framing::UntilClose => true,
        }
    }

    /// Writes what is collected, and flushes it.
    pub fn poll_flush<Io: AsyncWrite + Unpin>(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.collected.get(self.written..) {
            match ready!(Pin::new(&mut *io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        ready!(Pin::new(io).poll_flush(cx))?;
        self.collected.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Releases the memory between two requests. The allocator wipes it.
    pub fn release(&mut self) {
        self.collected = Vec::new();
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend(name.as_bytes());
    out.extend(b": ");
    out.extend(value);
    out.extend(b"\r\n");
}

fn content_length(out: &mut Vec<u8>, length: u64) {
    // Writing to a vector does not fail.
    let _ = write!(out, "content-length: {length}\r\n");
}

fn chunk_size(out: &mut Vec<u8>, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    out.extend(
        (0..digits)
            .rev()
            .map(|place| DIGITS[size >> (4 * place) & 15]),
    );
    out.extend(b"\r\n");
}

/// The length in a response's own headers.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether responses of this status have no body, and announce none (RFC 9110 §6.4.1).
fn has_no_body(status: StatusCode) -> bool {
    status.is_informational()
        || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    fn head(response: Response<()>, length: Option<u64>, to: ResponseTo) -> String {
        let mut writer = Writer::new();
        writer.head(&response.into_parts().0, length, to);
        let text = String::from_utf8(writer.collected).expect("text");
        let (head, date) = text.split_once("date: ").expect("a date");
        assert_eq!(date.len(), "Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n".len());
        head.to_owned()
    }

    const TO: ResponseTo = ResponseTo {
        version: Version::HTTP_11,
        is_head_method: false,
        closes: false,
    };

    #[test]
    fn the_end_of_a_body_is_announced_by_a_length_chunks_or_the_connection() {
        let old = ResponseTo {
            version: Version::HTTP_10,
            ..TO
        };
        for (length, to, expected) in [
            (Some(5), TO, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"),
            (Some(0), TO, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n"),
            (
                None,
                TO,
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n",
            ),
            (
                Some(5),
                old,
                "HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n",
            ),
            (None, old, "HTTP/1.0 200 OK\r\nconnection: close\r\n"),
        ] {
            assert_eq!(head(Response::new(()), length, to), expected);
        }
    }

    #[test]
    fn responses_without_a_body_announce_none() {
        let with = |status: u16| {
            let response = Response::builder().status(status);
            response.body(()).expect("a response")
        };
        assert_eq!(head(with(204), Some(0), TO), "HTTP/1.1 204 No Content\r\n");
        assert_eq!(head(with(304), None, TO), "HTTP/1.1 304 Not Modified\r\n");
        let to = ResponseTo {
            is_head_method: true,
            ..TO
        };
        assert_eq!(
            head(with(200), Some(7), to),
            "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n"
        );
        assert_eq!(head(with(200), None, to), "HTTP/1.1 200 OK\r\n");
    }

    #[test]
    fn headers_of_the_response_cannot_change_its_framing() {
        let response = Response::builder()
            .header("x-a", "b")
            .header("content-length", "99")
            .header("transfer-encoding", "gzip")
            .header("connection", "upgrade");
        let response = response.body(()).expect("a response");
        let closes = ResponseTo { closes: true, ..TO };
        assert_eq!(
            head(response, Some(5), closes),
            "HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 5\r\nconnection: close\r\n"
        );
    }

    fn body(framing: Framing, pieces: &[&str]) -> (String, bool) {
        let mut writer = Writer::new();
        writer.framing = framing;
        for piece in pieces {
            writer.body(piece.as_bytes());
        }
        let whole = writer.end();
        let text = String::from_utf8(writer.collected).expect("text");
        (text, whole)
    }

    #[test]
    fn pieces_of_a_body_are_framed() {
        let long = "x".repeat(0x1a0);
        let (text, whole) = body(Framing::Chunked, &["a", "", &long]);
        assert_eq!(text, format!("1\r\na\r\n1a0\r\n{long}\r\n0\r\n\r\n"));
        assert!(whole);
        assert_eq!(
            body(Framing::UntilClose, &["a", "b"]),
            ("ab".to_owned(), true)
        );
        assert_eq!(
            body(Framing::Length(2), &["a", "b"]),
            ("ab".to_owned(), true)
        );
        assert_eq!(body(Framing::Length(2), &["abc"]), ("ab".to_owned(), true));
        assert_eq!(body(Framing::Length(3), &["a"]), ("a".to_owned(), false));
    }
}
