//! What of a client's bytes the HTTP library gets to see.
//!
//! Where two parsers read one stream, they can see two different requests in it (RFC 9112 §11.2). Here one parser
//! decides: [`FramingGuard`] reads the connection, takes each head whole and checks it ([`head`]), and hands the
//! library strict heads only, each followed by exactly the body that it announced. Chunked bodies are framed again on
//! the way: chunk extensions, padded sizes and trailers end here. So the library finds each request where the guard
//! has found it; a property test holds the two against each other.
//!
//! A head that is refused is replaced by a short one that closes the connection, so that its answer comes in its
//! place behind those of the requests before it; [`Refused`] says which request that is and why. A body that cannot be
//! followed breaks off with an error.
//!
//! What was handed over is overwritten here at once.

mod head;
mod held;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use gateway_base::errors::HeadFault;
use head::BodyFraming;
pub(super) use head::HeadLimits;
use held::{Held, Own, Search};

/// The most that the library is given with one read. With 8 KiB or more it would make its buffer larger, and a larger
/// buffer is not overwritten by the reads that follow.
pub(super) const MOST_AT_ONCE: usize = 8 * 1024 - 1;
/// A chunk's size with its extensions.
const MAX_CHUNK_LINE: usize = 4 * 1024;
/// All that the framing of one body may take beyond the sizes themselves: extensions, leading zeros, trailers.
const MAX_CHUNK_OVERHEAD: usize = 64 * 1024;
/// Room for reading where a line or a head is looked for.
const ROOM: usize = 8 * 1024;

/// In place of a head that is refused.
const REFUSED: &[u8] = b"GET / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n";
/// The same where the answer must not have a body.
const REFUSED_HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n";

/// What the guard found out about requests of a connection, which are counted from 1.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    refused: OnceLock<(u64, HeadFault)>,
    broken: OnceLock<u64>,
    long: OnceLock<u64>,
}

impl Findings {
    /// Why the `number`th request is refused, if it is.
    pub fn refused(&self, number: u64) -> Option<HeadFault> {
        let (refused, fault) = self.0.refused.get()?;
        (*refused == number).then_some(*fault)
    }

    /// Whether the connection ends with the answer to the `number`th request: it is refused, its body cannot be
    /// followed, or a head up to it was longer than [`MOST_AT_ONCE`], so that the library's buffer has grown.
    pub fn is_last(&self, number: u64) -> bool {
        self.refused(number).is_some()
            || self.0.broken.get().is_some_and(|broken| *broken == number)
            || self.0.long.get().is_some_and(|long| *long <= number)
    }
}

/// A connection of which only checked requests are read.
#[derive(Debug)]
pub(super) struct FramingGuard<Io> {
    io: Io,
    state: State,
}

/// Where in the stream of requests the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Head,
    /// So many bytes of a checked head are still to be handed over.
    CheckedHead(u64, BodyFraming),
    /// So many bytes of a body of announced length are still to come.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk are still to come.
    Chunk(u64),
    /// The line end behind a chunk's bytes.
    ChunkEnd,
    Trailers,
    /// A head was refused: what still comes is read and dropped, to see the client's end.
    Refused,
    /// A body cannot be followed.
    Broken,
}

#[derive(Debug)]
struct State {
    at: At,
    limits: HeadLimits,
    held: Held,
    /// Framing of our own that is to be handed over first.
    own: Own,
    /// Heads that have ended.
    heads: u64,
    /// What the framing of the current body has taken beyond its sizes.
    overhead: usize,
    findings: Findings,
}

impl<Io> FramingGuard<Io> {
    pub fn new(io: Io, limits: HeadLimits, findings: Findings) -> Self {
        Self {
            io,
            state: State {
                at: At::Head,
                limits,
                held: Held::default(),
                own: Own::default(),
                heads: 0,
                overhead: 0,
                findings,
            },
        }
    }

    pub fn into_inner(self) -> Io {
        self.io
    }
}

/// What a step needs to go on.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Something was done or handed over.
    Done,
    /// More bytes of the connection, here.
    More,
    /// More bytes of the connection, which may go straight to the reader: at most so many.
    Straight(u64),
    Broken,
}

impl<Io: AsyncRead + Unpin> AsyncRead for FramingGuard<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { io, state } = &mut *self;
        let before = buffer.filled().len();
        loop {
            let handed = buffer.filled().len() - before;
            let room = buffer.remaining().min(MOST_AT_ONCE - handed);
            if room == 0 {
                return Poll::Ready(Ok(()));
            }
            match state.step(buffer, room) {
                Step::Done => {}
                Step::Broken if handed == 0 => {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                // The connection is not asked for more while there is something to go on with.
                Step::Broken | Step::More | Step::Straight(_) if handed > 0 => {
                    return Poll::Ready(Ok(()));
                }
                Step::Broken => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                Step::More => {
                    if ready!(state.held.poll_fill(Pin::new(io), context))? == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                Step::Straight(left) => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(room);
                    let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
                    ready!(Pin::new(&mut *io).poll_read(context, &mut part))?;
                    let read = part.filled().len();
                    buffer.advance(read);
                    state.passed(read as u64);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for FramingGuard<Io> {
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

impl State {
    /// Goes on with what is held, if that suffices.
    fn step(&mut self, buffer: &mut ReadBuf<'_>, room: usize) -> Step {
        if self.own.hand_over(buffer, room) {
            return Step::Done;
        }
        match self.at {
            At::Head => self.head(),
            At::CheckedHead(left, _) | At::Chunk(left) | At::Body(left) => {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(room);
                let passed = self.held.hand_over(buffer, most);
                if passed > 0 {
                    self.passed(passed as u64);
                    return Step::Done;
                }
                Step::Straight(left)
            }
            At::ChunkSize | At::ChunkEnd | At::Trailers => self.line(),
            At::Refused => {
                self.held.clear();
                Step::More
            }
            At::Broken => Step::Broken,
        }
    }

    /// So many bytes of a head or a body were handed over.
    fn passed(&mut self, bytes: u64) {
        self.at = match self.at {
            At::CheckedHead(left, framing) => match (left.saturating_sub(bytes), framing) {
                (0, BodyFraming::Chunked) => At::ChunkSize,
                (0, BodyFraming::Length(0)) => At::Head,
                (0, BodyFraming::Length(length)) => At::Body(length),
                (left, framing) => At::CheckedHead(left, framing),
            },
            At::Body(left) => match left.saturating_sub(bytes) {
                0 => At::Head,
                left => At::Body(left),
            },
            At::Chunk(left) => match left.saturating_sub(bytes) {
                0 => At::ChunkEnd,
                left => At::Chunk(left),
            },
            at => at,
        };
    }

    fn head(&mut self) -> Step {
        // Empty lines before a head are none of its own (RFC 9112 §2.2).
        while self.held.starts_with(b"\r\n") {
            self.held.consume(2);
        }
        match self.held.find_head() {
            Search::Found(length) => {
                self.heads += 1;
                self.overhead = 0;
                match head::parse(self.held.bytes(length), self.limits) {
                    Ok(framing) => {
                        if length > MOST_AT_ONCE {
                            let _ = self.findings.0.long.set(self.heads);
                        }
                        self.at = At::CheckedHead(length as u64, framing);
                    }
                    Err(fault) => self.refuse(fault),
                }
                Step::Done
            }
            Search::BareLineFeed => {
                self.heads += 1;
                self.refuse(HeadFault::BareLineFeed);
                Step::Done
            }
            Search::Open(length) if length >= self.limits.bytes => {
                self.heads += 1;
                let limit = self.limits.bytes;
                self.refuse(HeadFault::TooLarge { limit });
                Step::Done
            }
            Search::Open(_) => Step::More,
        }
    }

    fn refuse(&mut self, fault: HeadFault) {
        let without_body = self.held.starts_with(b"HEAD ");
        let _ = self.findings.0.refused.set((self.heads, fault));
        self.held.clear();
        self.own
            .set(if without_body { REFUSED_HEAD } else { REFUSED });
        self.at = At::Refused;
    }

    /// Where the body ends, and the next request begins, is unknown.
    fn break_off(&mut self) -> Step {
        let _ = self.findings.0.broken.set(self.heads);
        self.held.clear();
        self.at = At::Broken;
        Step::Broken
    }

    /// A line of a chunked body's framing.
    fn line(&mut self) -> Step {
        let length = match self.held.find_line() {
            Search::Found(length) if length <= MAX_CHUNK_LINE => length,
            Search::Open(length) if length <= MAX_CHUNK_LINE => return Step::More,
            Search::Found(_) | Search::Open(_) | Search::BareLineFeed => {
                return self.break_off();
            }
        };
        let line = self.held.bytes(length.saturating_sub(2));
        let next = match self.at {
            At::ChunkEnd if line.is_empty() => Some((At::ChunkSize, 0)),
            At::ChunkSize => chunk_size(line).map(|(size, overhead)| match size {
                0 => (At::Trailers, overhead),
                size => (At::Chunk(size), overhead),
            }),
            At::Trailers if line.is_empty() => Some((At::Head, 0)),
            At::Trailers => head::field(line).map(|_| (At::Trailers, length)),
            _ => None,
        };
        self.held.consume(length);
        let Some((next, overhead)) = next else {
            return self.break_off();
        };
        self.overhead += overhead;
        if self.overhead > MAX_CHUNK_OVERHEAD {
            return self.break_off();
        }
        match (self.at, next) {
            (_, At::Chunk(size)) => self.own.set(format!("{size:x}\r\n").as_bytes()),
            (At::ChunkEnd, _) => self.own.set(b"\r\n"),
            (At::Trailers, At::Head) => self.own.set(b"0\r\n\r\n"),
            _ => {}
        }
        self.at = next;
        Step::Done
    }
}

/// The size at the start of a chunk's line, and how many bytes of the line say nothing about it.
fn chunk_size(line: &[u8]) -> Option<(u64, usize)> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit());
    let (digits, rest) = line.split_at_checked(end.unwrap_or(line.len()))?;
    let size = head::number(digits, 16)?;
    let extension = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
    let sound = match extension {
        None => rest.is_empty(),
        Some(at) => rest.get(at) == Some(&b';') && rest.iter().all(head::is_field_byte),
    };
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    sound.then_some((size, rest.len() + zeros))
}

#[cfg(test)]
mod tests;
