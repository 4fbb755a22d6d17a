//! Reads an upstream's body, and notices when it sends nothing.
//!
//! Time counts only while the upstream is polled and nothing arrives. While a slow client keeps us from polling, the
//! upstream is not idle.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::relay::deadline::MovingDeadline;
use crate::relay::decode::Decoded;
use gateway_base::config::Timeouts;

/// Timeouts for one answer.
#[derive(Clone, Copy)]
pub(in crate::relay) struct AnswerTimeouts {
    first_byte: Duration,
    idle: Duration,
    /// The idle time after which a stream's client gets a comment; zero for never.
    comment: Duration,
}

impl From<&Timeouts> for AnswerTimeouts {
    fn from(timeouts: &Timeouts) -> Self {
        Self {
            first_byte: timeouts.first_byte,
            idle: timeouts.idle,
            comment: timeouts.stream_comment,
        }
    }
}

/// What was read.
pub(super) enum Read {
    Bytes(Bytes),
    /// Nothing for so long that the client gets a comment.
    Silence,
    End(SourceEnd),
}

/// How the upstream's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceEnd {
    /// Properly, as far as its framing shows that.
    Closed,
    Failed,
    TimedOut,
}

/// An upstream's body, decoded.
pub(super) struct Source {
    body: Decoded,
    timeouts: AnswerTimeouts,
    /// The limit for the next bytes: for the first ones, then for those after them.
    limit: Duration,
    /// The first poll since the last bytes that found none.
    idle_since: Option<Instant>,
    /// The last comment since then.
    comment_at: Option<Instant>,
    deadline: MovingDeadline,
    /// The end of the body, reported again by every later poll.
    end: Option<SourceEnd>,
}

impl Source {
    pub(super) fn new(body: Decoded, timeouts: AnswerTimeouts) -> Self {
        Self {
            body,
            timeouts,
            limit: timeouts.first_byte,
            idle_since: None,
            comment_at: None,
            deadline: MovingDeadline::default(),
            end: None,
        }
    }

    /// The next bytes, which are never empty. Reports silence only where a comment could be sent.
    pub(super) fn poll_read(&mut self, comments: bool, cx: &mut Context<'_>) -> Poll<Read> {
        if let Some(end) = self.end {
            return Poll::Ready(Read::End(end));
        }
        let end = match self.body.poll_bytes(cx) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.limit = self.timeouts.idle;
                (self.idle_since, self.comment_at) = (None, None);
                return Poll::Ready(Read::Bytes(bytes));
            }
            Poll::Ready(Some(Err(_))) => SourceEnd::Failed,
            Poll::Ready(None) => SourceEnd::Closed,
            // The wakers of the upstream, above, and of the deadline are both registered.
            Poll::Pending => return self.poll_idle(comments, cx),
        };
        self.end = Some(end);
        Poll::Ready(Read::End(end))
    }

    fn poll_idle(&mut self, comments: bool, cx: &mut Context<'_>) -> Poll<Read> {
        // The wait begins here, with the first poll that finds nothing, and not with the last data: between the two a
        // slow client may have kept us from polling.
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        let limit = since + self.limit;
        let comment = self.comment_at.unwrap_or(since) + self.timeouts.comment;
        if comments && !self.timeouts.comment.is_zero() && comment < limit {
            ready!(self.deadline.poll(comment, cx));
            self.comment_at = Some(Instant::now());
            return Poll::Ready(Read::Silence);
        }
        ready!(self.deadline.poll(limit, cx));
        // A reader that goes on waits for as long again.
        self.idle_since = None;
        Poll::Ready(Read::End(SourceEnd::TimedOut))
    }
}
