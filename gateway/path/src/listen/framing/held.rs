//! Bytes that were read and not yet passed on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::ROOM;

/// Bytes of the connection, overwritten when they are passed on or dropped.
#[derive(Debug, Default)]
pub(super) struct Held {
    room: Vec<u8>,
    start: usize,
    end: usize,
    /// How many bytes after `start` were already searched for a line end.
    searched: usize,
}

/// Where a head or a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// After this many bytes, CR LF included.
    Found(usize),
    /// Not within the bytes that are held; their number.
    Open(usize),
    BareLineFeed,
}

impl Held {
    fn all(&self) -> &[u8] {
        self.room.get(self.start..self.end).unwrap_or_default()
    }

    /// The first `length` of them.
    pub fn bytes(&self, length: usize) -> &[u8] {
        self.all().get(..length).unwrap_or_default()
    }

    pub fn starts_with(&self, prefix: &[u8]) -> bool {
        self.all().starts_with(prefix)
    }

    /// Up to the end of the first empty line.
    pub fn find_head(&mut self) -> Search {
        self.find(|line_end| line_end.ends_with(b"\r\n\r\n"))
    }

    /// Up to the end of the first line.
    pub fn find_line(&mut self) -> Search {
        self.find(|line_end| line_end.ends_with(b"\r\n"))
    }

    /// The first line end for which `ends` accepts the bytes up to it. Bytes are searched once, however they arrive.
    fn find(&mut self, ends: impl Fn(&[u8]) -> bool) -> Search {
        let mut searched = self.searched;
        let all = self.room.get(self.start..self.end).unwrap_or_default();
        while let Some(at) = memchr::memchr(b'\n', all.get(searched..).unwrap_or_default()) {
            searched += at + 1;
            let so_far = all.get(..searched).unwrap_or_default();
            if !so_far.ends_with(b"\r\n") {
                return Search::BareLineFeed;
            }
            if ends(so_far) {
                return Search::Found(searched);
            }
        }
        // The last byte may be a CR whose LF is still to come. The search looks for the LF and then backwards, so a CR
        // counts as searched.
        self.searched = all.len();
        Search::Open(all.len())
    }

    pub fn consume(&mut self, bytes: usize) {
        let end = self.start.saturating_add(bytes).min(self.end);
        if let Some(done) = self.room.get_mut(self.start..end) {
            done.fill(0);
        }
        self.start = end;
        self.searched = 0;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    pub fn clear(&mut self) {
        self.consume(self.end - self.start);
    }

    /// Passes on up to `most` bytes and returns how many.
    pub fn hand_over(&mut self, buffer: &mut ReadBuf<'_>, most: usize) -> usize {
        let handed = most.min(self.end - self.start);
        buffer.put_slice(self.bytes(handed));
        self.consume(handed);
        handed
    }

    /// Reads more bytes; 0 at the connection's end. An idle connection has no buffer.
    pub fn poll_fill<Io: AsyncRead>(
        &mut self,
        io: Pin<&mut Io>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut unfilled = ReadBuf::new(self.room.get_mut(self.end..).unwrap_or_default());
        let read = io.poll_read(context, &mut unfilled);
        let filled = unfilled.filled().len();
        self.end += filled;
        // Nothing held and nothing read: an idle connection keeps no buffer.
        if self.end == 0 {
            self.room = Vec::new();
        }
        ready!(read)?;
        Poll::Ready(Ok(filled))
    }

    fn make_room(&mut self) {
        if self.end < self.room.len() {
            return;
        }
        // Not `Vec::resize`: the old allocation has to be overwritten before it is freed.
        let length = self.end - self.start;
        let mut larger = vec![0; (length * 2).max(ROOM)];
        if let Some(place) = larger.get_mut(..length) {
            place.copy_from_slice(self.all());
        }
        self.room.fill(0);
        self.room = larger;
        (self.start, self.end) = (0, length);
    }
}

/// Framing that the guard inserts. It contains no client's bytes.
#[derive(Debug, Default)]
pub(super) struct Inserted {
    bytes: Vec<u8>,
    handed: usize,
}

impl Inserted {
    pub fn set(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.handed = 0;
    }

    /// Passes on up to `most` bytes; returns whether there were any.
    pub fn hand_over(&mut self, buffer: &mut ReadBuf<'_>, most: usize) -> bool {
        let left = self.bytes.get(self.handed..).unwrap_or_default();
        let part = left.get(..most.min(left.len())).unwrap_or_default();
        buffer.put_slice(part);
        self.handed += part.len();
        !part.is_empty()
    }
}
