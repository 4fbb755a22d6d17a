//! Turns an upstream's successful response into the client's.
//!
//! [`Answer::begin`] reads the beginning of a response before anything of it is passed on: an error inside a 200 becomes an
//! error, and a body without a usable media type is recognised by its first bytes. [`AnswerBody`] then passes the body on
//! piece by piece, applies the idle timeout, and reads id, usage and whether the content is complete.

mod boundary;
mod event;
mod members;
mod peek;
mod stream;
mod usage;

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::UpstreamRefusal;
use super::decode::Decoded;
use super::head::Framing;
use super::idle_timeout::IdleTimeout;
use gateway_base::config::Timeouts;
use gateway_base::metering::Usage;
use members::Members;
use stream::EventStream;
use usage::read_usage;

pub(super) use peek::{Answer, AnswerOptions, NoAnswer};

/// Sent to clients while an engine is idle: a comment, which readers of event streams skip.
const COMMENT: &[u8] = b": keep-alive\n\n";

/// Timeouts for one answer.
#[derive(Clone, Copy)]
pub(super) struct AnswerTimeouts {
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

/// The kind of the body, with what was read of it.
enum Content {
    Events(EventStream),
    Json(Members),
    /// Unknown bytes: passed on, not metered.
    Opaque,
}

/// Why an answer ended before it was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    #[error(
        "the upstream's connection closed, or its message ended, before the response was complete"
    )]
    Closed,
    #[error("the upstream stopped sending")]
    Stalled,
    /// After bytes were passed on.
    #[error("the upstream reported an error in the middle of its response")]
    ReportedError,
}

/// How complete an answer is that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completeness {
    Complete,
    /// The content is complete; the message around it is not.
    CompleteBadlyFramed,
    /// The message is complete; its content is not.
    Unfinished,
    /// It ended with a failure that the upstream reported in the stream.
    Failed(UpstreamRefusal),
}

/// The body that the client gets.
pub(super) struct AnswerBody {
    upstream: Decoded,
    framing: Framing,
    content: Content,
    timeouts: AnswerTimeouts,
    idle: IdleTimeout,
    comment: Option<IdleTimeout>,
    /// The first bytes have arrived.
    begun: bool,
    /// Bytes to be passed on. The upstream is polled only when it is empty.
    out: VecDeque<Bytes>,
    /// Set once; reported when `out` is empty.
    end: Option<End>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Proper,
    BadlyFramed,
    Fault(AnswerFault),
}

impl AnswerBody {
    /// `read` was already received from the upstream.
    fn new(
        upstream: Decoded,
        framing: Framing,
        content: Content,
        timeouts: AnswerTimeouts,
        read: Vec<Bytes>,
    ) -> Self {
        let comments = matches!(content, Content::Events(_)) && !timeouts.comment.is_zero();
        let mut body = Self {
            upstream,
            framing,
            content,
            timeouts,
            idle: IdleTimeout::new(timeouts.first_byte),
            comment: comments.then(|| IdleTimeout::new(timeouts.comment)),
            begun: false,
            out: VecDeque::new(),
            end: None,
        };
        if framing == Framing::Length(0) {
            body.end_properly();
        }
        read.into_iter().for_each(|bytes| body.take(bytes));
        body
    }

    /// The answer's own id, for receipt lookup.
    pub(super) fn id(&self) -> Option<&str> {
        match &self.content {
            Content::Events(events) => events.id(),
            Content::Json(members) => members.id(),
            Content::Opaque => None,
        }
    }

    pub(super) fn usage(&self) -> Usage {
        match &self.content {
            Content::Events(events) => events.usage(),
            Content::Json(members) => members.usage().and_then(read_usage).unwrap_or_default(),
            Content::Opaque => Usage::default(),
        }
    }

    /// The final event was passed on completely: a client may stop reading here.
    pub(super) fn is_done_passed_on(&self) -> bool {
        let done = matches!(&self.content, Content::Events(events) if events.is_done());
        done && self.out.is_empty()
    }

    /// How complete it is, for an answer that has ended.
    pub(super) fn completeness(&self) -> Completeness {
        if let Content::Events(events) = &self.content
            && let Some(failure) = events.failure()
        {
            return Completeness::Failed(failure);
        }
        let unfinished = match &self.content {
            Content::Events(events) => !events.is_done() && !events.is_finished(),
            Content::Json(members) => self.begun && !members.is_complete(),
            Content::Opaque => false,
        };
        match self.end {
            Some(End::BadlyFramed) => Completeness::CompleteBadlyFramed,
            _ if unfinished => Completeness::Unfinished,
            _ => Completeness::Complete,
        }
    }

    fn take(&mut self, bytes: Bytes) {
        match self.begun {
            true => self.idle.reset(),
            false => self.idle.reset_to(self.timeouts.idle),
        }
        self.begun = true;
        if let Some(comment) = &mut self.comment {
            comment.reset();
        }
        if let Framing::Length(left) = &mut self.framing {
            *left = left.saturating_sub(bytes.len() as u64);
        }
        match &mut self.content {
            Content::Events(events) => {
                if events.feed(bytes, &mut self.out).is_err() {
                    self.end = Some(End::Fault(AnswerFault::Closed));
                }
            }
            Content::Json(members) => {
                members.feed(&bytes);
                match members.reports_failure() {
                    true => self.end = Some(End::Fault(AnswerFault::ReportedError)),
                    false => self.out.push_back(bytes),
                }
            }
            Content::Opaque => self.out.push_back(bytes),
        }
        // The announced length has arrived. The upstream's own end is not waited for: with keep-alive its connection
        // stays open.
        if self.framing == Framing::Length(0) && self.end.is_none() {
            self.end_properly();
        }
    }

    fn end_properly(&mut self) {
        if let Content::Events(events) = &mut self.content {
            events.finish(&mut self.out);
        }
        self.end = Some(End::Proper);
    }

    /// The body ended. If its framing does not distinguish that from a failed connection, the content decides.
    fn at_end(&mut self) {
        // First, so that an incomplete last event is queued before the fault is reported.
        self.end_properly();
        let complete = match (self.framing, &self.content) {
            (Framing::Length(left), _) => left == 0,
            (Framing::Chunked, _) => true,
            (Framing::UntilClose, Content::Events(events)) => {
                events.is_done() || events.is_finished() || events.failure().is_some()
            }
            (Framing::UntilClose, Content::Json(members)) => members.is_complete(),
            (Framing::UntilClose, Content::Opaque) => true,
        };
        if !complete {
            self.end = Some(End::Fault(AnswerFault::Closed));
        }
    }

    /// The connection failed. An answer whose content is complete counts as complete, unless its length was announced.
    fn at_failure(&mut self) {
        self.end_properly();
        let complete = match &self.content {
            Content::Events(events) => events.is_done() || events.failure().is_some(),
            Content::Json(members) => members.is_complete(),
            Content::Opaque => false,
        };
        self.end = Some(match complete && !self.has_length() {
            true => End::BadlyFramed,
            false => End::Fault(AnswerFault::Closed),
        });
    }

    /// Whether the length is announced to the client.
    fn has_length(&self) -> bool {
        matches!(self.framing, Framing::Length(_)) && !matches!(self.content, Content::Events(_))
    }

    /// The upstream sends nothing: ends the answer after the idle timeout, and queues comments for the client until then.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.idle.poll_expired(cx).is_ready() {
            self.end_properly();
            self.end = Some(End::Fault(AnswerFault::Stalled));
            return Poll::Ready(());
        }
        let between = match &self.content {
            Content::Events(events) => events.is_between_events() && !events.is_done(),
            _ => false,
        };
        let Some(comment) = self.comment.as_mut().filter(|_| between) else {
            return Poll::Pending;
        };
        // Its waker is registered beside those of the upstream and the idle timeout.
        if comment.poll_expired(cx).is_pending() {
            return Poll::Pending;
        }
        comment.reset();
        self.out.push_back(Bytes::from_static(COMMENT));
        Poll::Ready(())
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerFault>>> {
        let this = self.get_mut();
        loop {
            // The queue before the end: what arrived before a fault is passed on before it.
            if let Some(bytes) = this.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match this.end {
                Some(End::Fault(fault)) => return Poll::Ready(Some(Err(fault))),
                Some(End::Proper | End::BadlyFramed) => return Poll::Ready(None),
                None => {}
            }
            match Pin::new(&mut this.upstream).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => this.take(bytes),
                    // Trailers are not passed on, and an empty piece does not reset the idle timeout.
                    _ => {}
                },
                Poll::Ready(Some(Err(_))) => this.at_failure(),
                Poll::Ready(None) => this.at_end(),
                // Ready means that `poll_idle` queued a comment or set an end; the loop returns it.
                Poll::Pending => std::task::ready!(this.poll_idle(cx)),
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.framing {
            Framing::Length(left) if self.has_length() => {
                let queued: usize = self.out.iter().map(Bytes::len).sum();
                SizeHint::with_exact(left + queued as u64)
            }
            _ => SizeHint::default(),
        }
    }
}
