//! A second look at how each request says where it ends.
//!
//! A request with both `Content-Length` and `Transfer-Encoding` is the classic way to make two parsers see two different
//! requests (RFC 9112 §11.2). The HTTP library serves it by its chunks, drops the length before anybody can see it, and
//! closes the connection afterwards, as §6.3 allows. Here such a request is refused: [`Watched`] reads along
//! while plain bytes pass to the library, follows the framing from one request to the next, and notes the first one whose end is
//! disputed.
//!
//! It decides nothing else. A message that it cannot follow ends its watch, and the library, which refuses or closes in
//! all those cases, judges alone. Of the bytes it keeps the line it is in, to a bound, until that line ends; bodies are
//! stepped over.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Which request of a connection has a disputed end, counted from 1; 0 while there is none. There cannot be two: the
/// connection ends with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Dispute(Arc<AtomicU64>);

impl Dispute {
    /// Whether it is the `number`th request, whose head has been read.
    pub fn is_about(&self, number: u64) -> bool {
        self.0.load(Ordering::Acquire) == number
    }
}

/// A connection whose requests are watched as they are read.
#[derive(Debug)]
pub(super) struct Watched<Io> {
    io: Io,
    framing: Framing,
}

impl<Io> Watched<Io> {
    pub fn new(io: Io, dispute: Dispute) -> Self {
        Self {
            io,
            framing: Framing::new(dispute),
        }
    }

    pub fn into_inner(self) -> Io {
        self.io
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        self.framing
            .follow(buffer.filled().get(before..).unwrap_or_default());
        read
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// Where in the stream of requests the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Head,
    /// So many bytes of a body of announced length are still to come.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk are still to come.
    Chunk(u64),
    /// The line end behind a chunk's bytes.
    ChunkEnd,
    Trailers,
    /// Not followed any further.
    Lost,
}

#[derive(Debug)]
struct Framing {
    at: At,
    line: Line,
    head: Head,
    /// Requests whose heads have ended.
    heads: u64,
    dispute: Dispute,
}

/// What a head has said so far.
#[derive(Debug, Default)]
struct Head {
    /// Its first line is past. Empty lines before it are none of its own.
    begun: bool,
    length: Option<Length>,
    coded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Bytes(u64),
    /// There is one, and it says nothing that we understand.
    Unclear,
}

impl Framing {
    fn new(dispute: Dispute) -> Self {
        Self {
            at: At::Head,
            line: Line::default(),
            head: Head::default(),
            heads: 0,
            dispute,
        }
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let passed = match self.at {
                At::Lost => return,
                At::Body(left) | At::Chunk(left) => self.step_over(left, bytes.len()),
                At::Head | At::ChunkSize | At::ChunkEnd | At::Trailers => self.read_line(bytes),
            };
            bytes = bytes.get(passed..).unwrap_or_default();
        }
    }

    /// Passes bytes of a body by, and says how many.
    fn step_over(&mut self, left: u64, here: usize) -> usize {
        let passed = usize::try_from(left).unwrap_or(usize::MAX).min(here);
        let left = left - passed as u64;
        self.at = match self.at {
            At::Chunk(_) if left > 0 => At::Chunk(left),
            At::Chunk(_) => At::ChunkEnd,
            _ if left > 0 => At::Body(left),
            _ => At::Head,
        };
        passed
    }

    /// Takes what is here of a line, and says how many bytes that were.
    fn read_line(&mut self, bytes: &[u8]) -> usize {
        let end = memchr::memchr(b'\n', bytes);
        let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        self.line.extend(part);
        let Some(end) = end else {
            return bytes.len();
        };
        let line = self.line;
        self.at = match self.at {
            At::Head => self.head_line(&line),
            At::ChunkSize => match line.chunk_size() {
                Some(0) => At::Trailers,
                Some(size) => At::Chunk(size),
                None => At::Lost,
            },
            At::ChunkEnd if line.is_empty() => At::ChunkSize,
            At::Trailers if line.is_empty() => At::Head,
            At::Trailers => At::Trailers,
            At::ChunkEnd | At::Body(_) | At::Chunk(_) | At::Lost => At::Lost,
        };
        self.line = Line::default();
        end + 1
    }

    fn head_line(&mut self, line: &Line) -> At {
        if !self.head.begun {
            self.head.begun = !line.is_empty();
        } else if line.is_empty() {
            return self.head_ended();
        } else if line.is_named(b"content-length") {
            self.head.length = Some(line.length());
        } else if line.is_named(b"transfer-encoding") {
            self.head.coded = true;
        }
        At::Head
    }

    fn head_ended(&mut self) -> At {
        self.heads += 1;
        let Head { length, coded, .. } = std::mem::take(&mut self.head);
        match (length, coded) {
            (Some(_), true) => {
                self.dispute.0.store(self.heads, Ordering::Release);
                At::Lost
            }
            (None, true) => At::ChunkSize,
            (Some(Length::Bytes(0)) | None, false) => At::Head,
            (Some(Length::Bytes(bytes)), false) => At::Body(bytes),
            (Some(Length::Unclear), false) => At::Lost,
        }
    }
}

/// The beginning of a line, as much as tells what it is.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: [u8; 64],
    /// Of the whole line, which may be longer than what is kept.
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            start: [0; 64],
            length: 0,
        }
    }
}

impl Line {
    fn extend(&mut self, part: &[u8]) {
        let room = self.start.get_mut(self.length..).unwrap_or_default();
        let kept = room.len().min(part.len());
        if let (Some(room), Some(part)) = (room.get_mut(..kept), part.get(..kept)) {
            room.copy_from_slice(part);
        }
        self.length = self.length.saturating_add(part.len());
    }

    /// What is kept of it, without the carriage return at its end.
    fn text(&self) -> &[u8] {
        let kept = self.start.get(..self.length).unwrap_or(&self.start);
        kept.strip_suffix(b"\r").unwrap_or(kept)
    }

    fn is_whole(&self) -> bool {
        self.length <= self.start.len()
    }

    fn is_empty(&self) -> bool {
        self.text().is_empty()
    }

    fn is_named(&self, name: &[u8]) -> bool {
        let start = self.text().get(..name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
            && self.text().get(name.len()) == Some(&b':')
    }

    /// The value of a `Content-Length`.
    fn length(&self) -> Length {
        let value = self.text().splitn(2, |byte| *byte == b':').nth(1);
        let digits = value.unwrap_or_default().trim_ascii();
        match number(digits, 10) {
            Some(bytes) if self.is_whole() => Length::Bytes(bytes),
            _ => Length::Unclear,
        }
    }

    /// The size before a chunk's extensions.
    fn chunk_size(&self) -> Option<u64> {
        let text = self.text();
        let end = text.iter().position(|byte| !byte.is_ascii_hexdigit());
        number(text.get(..end.unwrap_or(text.len()))?, 16)
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(text, radix).ok())?
}

#[cfg(test)]
mod tests;
