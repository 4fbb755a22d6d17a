//! Checks the framing of requests before the HTTP library reads them.
//!
//! If two parsers read one stream, they can find two different requests in it (request smuggling, RFC 9112 §11.2). Here
//! one parser decides: [`FramingGuard`] reads the connection, checks each complete head ([`head`]), and passes only strict
//! heads on to the library, each followed by exactly the body that it announced. Chunked bodies are framed again: chunk
//! extensions, padded sizes and trailers are not passed on. So the library finds each request where the guard has found
//! it; a property test compares the two.
//!
//! A refused head is replaced by a short one that closes the connection, so that its response follows those of the requests
//! before it; [`Findings`] tells the handler which request that is and why. A body that cannot be followed ends in an
//! error.
//!
//! Bytes that were passed on are overwritten here at once.

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
use held::{Held, Inserted, Search};

/// The most bytes that the library gets with one read. With 8 KiB or more it would enlarge its buffer, and a larger buffer
/// is not overwritten by later reads.
pub(super) const MAX_READ: usize = 8 * 1024 - 1;
/// The longest line of a chunk's size with its extensions.
const MAX_CHUNK_LINE: usize = 4 * 1024;
/// The most bytes of one body's framing beyond the sizes themselves: extensions, leading zeros, trailers.
const MAX_CHUNK_OVERHEAD: usize = 64 * 1024;
/// The initial buffer in which a line or a head is searched.
const ROOM: usize = 8 * 1024;

/// In place of a head that is refused.
const REFUSED: &[u8] = b"GET / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n";
/// The same if the response must not have a body.
const REFUSED_HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n";

/// What the guard found about the requests of a connection, which are numbered from 1. Written by the guard, read by the
/// handlers; each finding is set once, because the connection ends with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The request whose head was refused, and why.
    refused: OnceLock<(u64, HeadFault)>,
    /// The request whose body cannot be followed.
    broken: OnceLock<u64>,
    /// The first request whose head was longer than [`MAX_READ`].
    long: OnceLock<u64>,
}

impl Findings {
    /// Why the `number`th request is refused, if it is.
    pub fn refused(&self, number: u64) -> Option<HeadFault> {
        let (refused, fault) = self.0.refused.get()?;
        (*refused == number).then_some(*fault)
    }

    /// Whether the connection closes after the response to the `number`th request: it is refused, its body cannot be
    /// followed, or a head up to it was longer than [`MAX_READ`], so that the library's buffer has grown.
    pub fn is_last(&self, number: u64) -> bool {
        self.refused(number).is_some()
            || self.0.broken.get().is_some_and(|broken| *broken == number)
            || self.0.long.get().is_some_and(|long| *long <= number)
    }
}

/// A connection from which only checked requests can be read.
#[derive(Debug)]
pub(super) struct FramingGuard<Io> {
    io: Io,
    state: State,
}

/// The part of a request that the next byte of the connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Head,
    /// This many bytes of a checked head are still to be passed on.
    CheckedHead(u64, BodyFraming),
    /// This many bytes of a body of announced length are still to come.
    Body(u64),
    ChunkSize,
    /// This many bytes of a chunk are still to come.
    Chunk(u64),
    /// The line end after a chunk's bytes.
    ChunkEnd,
    Trailers,
    /// A head was refused: what still arrives is read and dropped, to notice when the client closes.
    Refused,
    /// A body cannot be followed.
    Broken,
}

#[derive(Debug)]
struct State {
    position: Position,
    limits: HeadLimits,
    held: Held,
    /// Framing of our own that is passed on before anything else.
    inserted: Inserted,
    /// The number of complete heads, which is the number of the current request.
    heads: u64,
    /// Bytes of the current body's framing beyond its sizes.
    overhead: usize,
    findings: Findings,
}

impl<Io> FramingGuard<Io> {
    pub fn new(io: Io, limits: HeadLimits, findings: Findings) -> Self {
        Self {
            io,
            state: State {
                position: Position::Head,
                limits,
                held: Held::default(),
                inserted: Inserted::default(),
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

/// The result of one step.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The state changed or bytes were passed on.
    Done,
    /// More bytes are needed in `held`.
    More,
    /// More bytes are needed, and may be read into the reader's buffer directly: at most this many.
    Direct(u64),
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
            // Limited for the whole call, not for each step: hyper decides by the size of one read whether to enlarge
            // its buffer.
            let room = buffer.remaining().min(MAX_READ - handed);
            if room == 0 {
                return Poll::Ready(Ok(()));
            }
            match state.step(buffer, room) {
                Step::Done => {}
                Step::Broken if handed == 0 => {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                // What there is, is passed on before the connection is read again, which might wait.
                Step::Broken | Step::More | Step::Direct(_) if handed > 0 => {
                    return Poll::Ready(Ok(()));
                }
                Step::Broken => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                Step::More => {
                    // The end of the connection is passed on as such; a cut head or body fails in the library.
                    if ready!(state.held.poll_fill(Pin::new(io), context))? == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                Step::Direct(left) => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(room);
                    // Bodies are not copied through `held`, which is empty here.
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
    /// Processes what is held, as far as possible.
    fn step(&mut self, buffer: &mut ReadBuf<'_>, room: usize) -> Step {
        // Inserted framing comes first: the state that follows it is already set.
        if self.inserted.hand_over(buffer, room) {
            return Step::Done;
        }
        match self.position {
            Position::Head => self.head(),
            Position::CheckedHead(left, _) | Position::Chunk(left) | Position::Body(left) => {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(room);
                // What is held comes first: it was read earlier, together with the end of a head or of a chunk's line.
                let passed = self.held.hand_over(buffer, most);
                if passed > 0 {
                    self.passed(passed as u64);
                    return Step::Done;
                }
                Step::Direct(left)
            }
            Position::ChunkSize | Position::ChunkEnd | Position::Trailers => self.line(),
            // The library has the short head and answers it; what the client still sends belongs to the refused request.
            Position::Refused => {
                self.held.clear();
                Step::More
            }
            Position::Broken => Step::Broken,
        }
    }

    /// This many bytes of a head or a body were passed on.
    fn passed(&mut self, bytes: u64) {
        self.position = match self.position {
            Position::CheckedHead(left, framing) => match (left.saturating_sub(bytes), framing) {
                (0, BodyFraming::Chunked) => Position::ChunkSize,
                // Without a body the next byte begins the next head.
                (0, BodyFraming::Length(0)) => Position::Head,
                (0, BodyFraming::Length(length)) => Position::Body(length),
                (left, framing) => Position::CheckedHead(left, framing),
            },
            Position::Body(left) => match left.saturating_sub(bytes) {
                0 => Position::Head,
                left => Position::Body(left),
            },
            Position::Chunk(left) => match left.saturating_sub(bytes) {
                0 => Position::ChunkEnd,
                left => Position::Chunk(left),
            },
            at => at,
        };
    }

    fn head(&mut self) -> Step {
        // Empty lines before a head are not part of it (RFC 9112 §2.2).
        while self.held.starts_with(b"\r\n") {
            self.held.consume(2);
        }
        match self.held.find_head() {
            Search::Found(length) => {
                self.heads += 1;
                self.overhead = 0;
                match head::parse(self.held.bytes(length), self.limits) {
                    Ok(framing) => {
                        // The library's buffer grows for it, see `READ_BUFFER` in the connection.
                        if length > MAX_READ {
                            let _ = self.findings.0.long.set(self.heads);
                        }
                        self.position = Position::CheckedHead(length as u64, framing);
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
            // Refused before it is complete, so that an endless head takes no more memory than the limit.
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
        // The library answers our head, so its method decides whether the response has a body.
        let without_body = self.held.starts_with(b"HEAD ");
        // Set before the replacement can be read, so that the handler of the short head finds the reason. A second
        // refusal is impossible: nothing leaves `Position::Refused`.
        let _ = self.findings.0.refused.set((self.heads, fault));
        self.held.clear();
        self.inserted
            .set(if without_body { REFUSED_HEAD } else { REFUSED });
        self.position = Position::Refused;
    }

    /// The end of the body, and the beginning of the next request, is unknown.
    fn fail(&mut self) -> Step {
        // The handler may still answer: `Findings::is_last` then closes the connection after that response, because the
        // beginning of the next request is unknown.
        let _ = self.findings.0.broken.set(self.heads);
        self.held.clear();
        self.position = Position::Broken;
        Step::Broken
    }

    /// A line of a chunked body's framing.
    fn line(&mut self) -> Step {
        let length = match self.held.find_line() {
            Search::Found(length) if length <= MAX_CHUNK_LINE => length,
            Search::Open(length) if length <= MAX_CHUNK_LINE => return Step::More,
            Search::Found(_) | Search::Open(_) | Search::BareLineFeed => {
                return self.fail();
            }
        };
        let line = self.held.bytes(length.saturating_sub(2));
        let next = match self.position {
            Position::ChunkEnd if line.is_empty() => Some((Position::ChunkSize, 0)),
            Position::ChunkSize => chunk_size(line).map(|(size, overhead)| match size {
                0 => (Position::Trailers, overhead),
                size => (Position::Chunk(size), overhead),
            }),
            Position::Trailers if line.is_empty() => Some((Position::Head, 0)),
            Position::Trailers => head::field(line).map(|_| (Position::Trailers, length)),
            _ => None,
        };
        self.held.consume(length);
        let Some((next, overhead)) = next else {
            return self.fail();
        };
        self.overhead += overhead;
        if self.overhead > MAX_CHUNK_OVERHEAD {
            return self.fail();
        }
        // The library gets plain sizes, line ends and an empty trailer section, whatever the client sent.
        match (self.position, next) {
            (_, Position::Chunk(size)) => self.inserted.set(format!("{size:x}\r\n").as_bytes()),
            (Position::ChunkEnd, _) => self.inserted.set(b"\r\n"),
            (Position::Trailers, Position::Head) => self.inserted.set(b"0\r\n\r\n"),
            _ => {}
        }
        self.position = next;
        Step::Done
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

#[cfg(test)]
mod tests;
