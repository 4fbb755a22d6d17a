//! Bytes that were read and not yet handed over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::ROOM;

/// Bytes of the connection, overwritten as they are handed over or dropped.
#[derive(Debug, Default)]
pub(super) struct Held {
    room: Vec<u8>,
    start: usize,
    end: usize,
    /// How many bytes behind `start` were searched for a line's end.
    searched: usize,
}

/// Where a head or a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// After so many bytes, CR LF among them.
    Found(usize),
    /// Not within the so many bytes that are here.
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

    /// The first line end at which `ends` holds for what is here up to it. What was searched is not searched again.
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

    /// Hands over as many as there are, up to `most`, and returns how many.
    pub fn hand_over(&mut self, buffer: &mut ReadBuf<'_>, most: usize) -> usize {
        let handed = most.min(self.end - self.start);
        buffer.put_slice(self.bytes(handed));
        self.consume(handed);
        handed
    }

    /// Reads more behind what is here; 0 at the connection's end. A connection that has nothing to read keeps no room.
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
        // A new allocation holds them from the start; the old one is overwritten before it is freed.
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

/// A little framing of our own, which holds nothing of anybody.
#[derive(Debug, Default)]
pub(super) struct Own {
    bytes: Vec<u8>,
    handed: usize,
}

impl Own {
    pub fn set(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.handed = 0;
    }

    /// Hands over what there is, up to `most`; whether there was anything.
    pub fn hand_over(&mut self, buffer: &mut ReadBuf<'_>, most: usize) -> bool {
        let left = self.bytes.get(self.handed..).unwrap_or_default();
        let part = left.get(..most.min(left.len())).unwrap_or_default();
        buffer.put_slice(part);
        self.handed += part.len();
        !part.is_empty()
    }
}
