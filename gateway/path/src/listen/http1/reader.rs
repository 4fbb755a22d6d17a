//! Reads requests from a connection: heads, and the bodies that they announce.
//!
//! The only parser of a client's bytes. It reads the connection's own buffer; what it copies out of it is the beginning of
//! a line or a head whose end has not arrived. So a connection that waits for its next request holds nothing here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncBufRead;

use super::head::{self, BodyFraming, Head, HeadLimits};
use gateway_base::errors::HeadFault;

/// The longest line of a chunk's size with its extensions.
const MAX_CHUNK_LINE: usize = 4 * 1024;
/// The most bytes of one body's framing beyond the sizes themselves: extensions, leading zeros, trailers.
const MAX_CHUNK_OVERHEAD: usize = 64 * 1024;
/// The most bytes that are read and dropped of a body that was not asked for.
const MAX_DISCARDED: usize = 8 * 1024;

/// The part of a request that the next byte of the connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    Head,
    /// This many bytes of a body of announced length are still to come.
    Body(u64),
    ChunkSize,
    /// This many bytes of a chunk are still to come.
    Chunk(u64),
    /// The line end after a chunk's bytes.
    ChunkEnd,
    Trailers,
    /// Unknown, after a head that was refused or a body that cannot be followed.
    Lost,
}

/// What comes where a head is expected.
#[derive(Debug)]
pub(in crate::listen) enum Received {
    /// Boxed: it is large, and connections are idle most of the time.
    Request(Box<Head>),
    Refused {
        fault: HeadFault,
        /// The response must not have a body.
        is_head_method: bool,
    },
    /// The client closed the connection.
    Closed,
}

/// Why a body ends too early.
#[derive(Debug, thiserror::Error)]
pub(in crate::listen) enum BodyError {
    #[error("the connection failed within a request's body")]
    Connection(#[from] io::Error),
    #[error("the connection ended within a request's body")]
    Closed,
    #[error("the chunks of a request's body are malformed")]
    Malformed,
}

/// Where a connection's input stands.
#[derive(Debug)]
pub(super) struct Reader {
    limits: HeadLimits,
    position: Position,
    /// The beginning of a line, or of a head, whose end has not arrived.
    partial: Vec<u8>,
    /// How many bytes of `partial` belong to its last line.
    line: usize,
    /// Bytes of the current body's framing beyond its sizes.
    overhead: usize,
}

impl Reader {
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            position: Position::Head,
            partial: Vec::new(),
            line: 0,
            overhead: 0,
        }
    }

    /// Whether a request was read to its end. The next byte begins a head.
    pub fn is_at_head(&self) -> bool {
        self.position == Position::Head
    }

    /// Whether no byte of the next head has arrived.
    pub fn is_idle(&self) -> bool {
        self.is_at_head() && self.partial.is_empty()
    }

    /// How many bytes of the body are still to come, if it announced a length.
    pub fn announced(&self) -> Option<u64> {
        match self.position {
            Position::Head => Some(0),
            Position::Body(left) => Some(left),
            _ => None,
        }
    }

    #[cfg(test)]
    pub fn position(&self) -> Position {
        self.position
    }

    #[cfg(test)]
    pub fn held(&self) -> &Vec<u8> {
        &self.partial
    }

    /// The next request's head.
    pub fn poll_head<Io: AsyncBufRead + Unpin>(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Received>> {
        loop {
            let piece = ready!(Pin::new(&mut *io).poll_fill_buf(cx))?;
            if piece.is_empty() {
                return Poll::Ready(Ok(Received::Closed));
            }
            let room = self.limits.bytes.saturating_sub(self.partial.len());
            let piece = piece.get(..room).unwrap_or(piece);
            let (head, used) = match find_empty_line(&self.partial, self.line, piece) {
                Search::Found(used) => (self.take(piece, used), used),
                Search::BareLineFeed => {
                    return Poll::Ready(Ok(self.refuse(piece, HeadFault::BareLineFeed)));
                }
                // Refused before it is complete, so that an endless head takes no more memory than the limit.
                Search::Open(_) if piece.len() == room => {
                    let limit = self.limits.bytes;
                    return Poll::Ready(Ok(self.refuse(piece, HeadFault::TooLarge { limit })));
                }
                Search::Open(line) => {
                    let used = piece.len();
                    self.partial.extend_from_slice(piece);
                    self.line = line;
                    Pin::new(&mut *io).consume(used);
                    continue;
                }
            };
            Pin::new(&mut *io).consume(used);
            // Empty lines before a head are not part of it (RFC 9112 §2.2).
            if head.len() <= 2 {
                continue;
            }
            return Poll::Ready(Ok(match head::parse(&head, self.limits) {
                Ok(head) => {
                    self.begin_body(head.framing);
                    Received::Request(Box::new(head))
                }
                Err(fault) => self.refuse(&head, fault),
            }));
        }
    }

    /// What is held and the first `used` bytes of `piece`.
    fn take(&mut self, piece: &[u8], used: usize) -> Bytes {
        let piece = piece.get(..used).unwrap_or_default();
        self.line = 0;
        if self.partial.is_empty() {
            return Bytes::copy_from_slice(piece);
        }
        self.partial.extend_from_slice(piece);
        Bytes::from(std::mem::take(&mut self.partial))
    }

    fn begin_body(&mut self, framing: BodyFraming) {
        self.overhead = 0;
        self.position = match framing {
            BodyFraming::Length(0) => Position::Head,
            BodyFraming::Length(length) => Position::Body(length),
            BodyFraming::Chunked => Position::ChunkSize,
        };
    }

    fn refuse(&mut self, piece: &[u8], fault: HeadFault) -> Received {
        self.position = Position::Lost;
        let beginning = self.partial.iter().chain(piece);
        let is_head_method = beginning.take(5).eq(b"HEAD ");
        self.partial = Vec::new();
        Received::Refused {
            fault,
            is_head_method,
        }
    }

    /// The next bytes of the body; `None` at its end.
    pub fn poll_body<Io: AsyncBufRead + Unpin>(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let left = match self.position {
                Position::Head => return Poll::Ready(None),
                Position::Lost => return Poll::Ready(Some(Err(BodyError::Malformed))),
                Position::Body(left) | Position::Chunk(left) => left,
                Position::ChunkSize | Position::ChunkEnd | Position::Trailers => {
                    if let Err(error) = ready!(self.poll_line(io, cx)) {
                        self.position = Position::Lost;
                        return Poll::Ready(Some(Err(error)));
                    }
                    continue;
                }
            };
            let piece = match ready!(Pin::new(&mut *io).poll_fill_buf(cx)) {
                Ok([]) => Err(BodyError::Closed),
                Ok(piece) => Ok(piece),
                Err(error) => Err(BodyError::Connection(error)),
            };
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    self.position = Position::Lost;
                    return Poll::Ready(Some(Err(error)));
                }
            };
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let bytes = Bytes::copy_from_slice(piece.get(..most).unwrap_or(piece));
            Pin::new(&mut *io).consume(bytes.len());
            self.passed(left - bytes.len() as u64);
            return Poll::Ready(Some(Ok(bytes)));
        }
    }

    /// Bytes of a body were passed on; `left` are still to come.
    fn passed(&mut self, left: u64) {
        self.position = match (self.position, left) {
            (Position::Body(_), 0) => Position::Head,
            (Position::Body(_), left) => Position::Body(left),
            (Position::Chunk(_), 0) => Position::ChunkEnd,
            (Position::Chunk(_), left) => Position::Chunk(left),
            (position, _) => position,
        };
    }

    /// Reads the rest of a short body that no handler asked for, as far as it has arrived. Returns whether the request was
    /// read to its end.
    pub fn discard_body<Io: AsyncBufRead + Unpin>(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
    ) -> bool {
        let mut discarded = 0;
        while !self.is_at_head() && discarded <= MAX_DISCARDED {
            match self.poll_body(io, cx) {
                Poll::Ready(Some(Ok(bytes))) => discarded += bytes.len(),
                _ => break,
            }
        }
        self.is_at_head()
    }

    /// One line of a chunked body's framing.
    fn poll_line<Io: AsyncBufRead + Unpin>(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), BodyError>> {
        loop {
            let piece = ready!(Pin::new(&mut *io).poll_fill_buf(cx))?;
            if piece.is_empty() {
                return Poll::Ready(Err(BodyError::Closed));
            }
            let end = memchr::memchr(b'\n', piece).map(|at| at + 1);
            let used = end.unwrap_or(piece.len());
            if self.partial.len() + used > MAX_CHUNK_LINE {
                return Poll::Ready(Err(BodyError::Malformed));
            }
            let read = piece.get(..used).unwrap_or_default();
            let done = if end.is_none() {
                self.partial.extend_from_slice(read);
                None
            } else if self.partial.is_empty() {
                Some(next_position(self.position, read))
            } else {
                self.partial.extend_from_slice(read);
                let line = std::mem::take(&mut self.partial);
                Some(next_position(self.position, &line))
            };
            Pin::new(&mut *io).consume(used);
            let Some(next) = done else { continue };
            let (next, overhead) = next.ok_or(BodyError::Malformed)?;
            self.overhead += overhead;
            if self.overhead > MAX_CHUNK_OVERHEAD {
                return Poll::Ready(Err(BodyError::Malformed));
            }
            self.position = next;
            return Poll::Ready(Ok(()));
        }
    }
}

/// Where the empty line after a head is.
enum Search {
    /// After this many bytes of the piece, CR LF included.
    Found(usize),
    /// Not in the piece; the length of its unfinished line.
    Open(usize),
    BareLineFeed,
}

/// Searches `piece`, which continues `before`, whose last line has `line` bytes so far. Bytes are searched once, however
/// they arrive.
fn find_empty_line(before: &[u8], mut line: usize, piece: &[u8]) -> Search {
    let mut searched = 0;
    while let Some(at) = memchr::memchr(b'\n', piece.get(searched..).unwrap_or_default()) {
        let end = searched + at;
        let last = match end.checked_sub(1) {
            Some(last) => piece.get(last),
            None => before.last(),
        };
        if last != Some(&b'\r') {
            return Search::BareLineFeed;
        }
        searched = end + 1;
        // Only the CR before it.
        if line + at == 1 {
            return Search::Found(searched);
        }
        line = 0;
    }
    Search::Open(line + piece.len() - searched)
}

/// What follows a line of a chunked body's framing, and how many of its bytes are overhead.
fn next_position(position: Position, line: &[u8]) -> Option<(Position, usize)> {
    let length = line.len();
    let line = line.strip_suffix(b"\r\n")?;
    match position {
        Position::ChunkEnd => line.is_empty().then_some((Position::ChunkSize, 0)),
        Position::ChunkSize => chunk_size(line).map(|(size, overhead)| match size {
            0 => (Position::Trailers, overhead),
            size => (Position::Chunk(size), overhead),
        }),
        Position::Trailers if line.is_empty() => Some((Position::Head, 0)),
        Position::Trailers => head::field(line).map(|_| (Position::Trailers, length)),
        _ => None,
    }
}

/// The size at the start of a chunk's line, and how many bytes of the line are overhead.
fn chunk_size(line: &[u8]) -> Option<(u64, usize)> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit());
    let (digits, rest) = line.split_at_checked(end.unwrap_or(line.len()))?;
    let size = head::number(digits, 16)?;
    let extension = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
    let valid = match extension {
        None => rest.is_empty(),
        Some(at) => rest.get(at) == Some(&b';') && rest.iter().all(head::is_field_byte),
    };
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    valid.then_some((size, rest.len() + zeros))
}
