//! An upstream's successful response, made into what the client gets.
//!
//! [`Answer::begin`] looks at a response before anything of it is passed on: an error inside a 200 becomes an error,
//! and what has no usable media type is recognised by its beginning. [`AnswerBody`] then passes the body on piece by
//! piece: it knows how long the upstream has been silent, whether the content is whole however its framing ended, and
//! what the metering wants to know.

mod boundary;
mod event;
mod members;
mod peek;
mod stream;
mod usage;

use gateway_base::metering::Usage;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use usage::read_usage;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::UpstreamRefusal;
use super::decode::Decoded;
use super::head::Framing;
use super::patience::Patience;
use gateway_base::config::Timeouts;
use members::Members;
use stream::EventStream;

pub(super) use peek::{Answer, Failed, Wanted};

/// What clients get while an engine is silent: a comment, which readers of event streams skip.
const COMMENT: &[u8] = b": keep-alive\n\n";

/// How long to wait for an upstream, and how to bridge it.
#[derive(Clone, Copy)]
pub(super) struct Waits {
    first_byte: Duration,
    idle: Duration,
    /// Silence after which a stream's client gets a comment; zero for never.
    comment: Duration,
}

impl From<&Timeouts> for Waits {
    fn from(timeouts: &Timeouts) -> Self {
        Self {
            first_byte: timeouts.first_byte,
            idle: timeouts.idle,
            comment: timeouts.stream_comment,
        }
    }
}

/// What the body is, which decides how it is read.
enum Content {
    Events(EventStream),
    Json(Members),
    /// Bytes we do not understand: passed on, not metered.
    Opaque,
}

/// Why the rest of an answer does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    #[error("the upstream's connection broke, or its message ended before it was complete")]
    Broke,
    #[error("the upstream stopped sending")]
    Stalled,
    /// After bytes were passed on that cannot be taken back.
    #[error("the upstream reported an error in the middle of its response")]
    ReportedError,
}

/// What an answer that ended came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completeness {
    Whole,
    /// Its content is whole; the message around it ended as a broken one does.
    WholeBadlyFramed,
    /// The message ended properly, and its content says that more was to come.
    Unfinished,
    /// It ended with a failure that the upstream reported in the stream.
    Failed(UpstreamRefusal),
}

/// The body that the client gets.
pub(super) struct AnswerBody {
    upstream: Decoded,
    framing: Framing,
    content: Content,
    waits: Waits,
    silence: Patience,
    comment: Option<Patience>,
    /// Body bytes have come.
    begun: bool,
    out: VecDeque<Bytes>,
    end: Option<End>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Proper,
    BadlyFramed,
    Fault(AnswerFault),
}

impl AnswerBody {
    /// `read` is what has been taken from the upstream already.
    fn new(
        upstream: Decoded,
        framing: Framing,
        content: Content,
        waits: Waits,
        read: Vec<Bytes>,
    ) -> Self {
        let comments = matches!(content, Content::Events(_)) && !waits.comment.is_zero();
        let mut body = Self {
            upstream,
            framing,
            content,
            waits,
            silence: Patience::new(waits.first_byte),
            comment: comments.then(|| Patience::new(waits.comment)),
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

    /// The final event has come and all of it was handed on: a client may stop reading here.
    pub(super) fn said_done(&self) -> bool {
        let done = matches!(&self.content, Content::Events(events) if events.is_done());
        done && self.out.is_empty()
    }

    /// What it came to, for an answer that has ended.
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
            Some(End::BadlyFramed) => Completeness::WholeBadlyFramed,
            _ if unfinished => Completeness::Unfinished,
            _ => Completeness::Whole,
        }
    }

    fn take(&mut self, bytes: Bytes) {
        match self.begun {
            true => self.silence.rewarded(),
            false => self.silence.rewarded_with(self.waits.idle),
        }
        self.begun = true;
        if let Some(comment) = &mut self.comment {
            comment.rewarded();
        }
        if let Framing::Length(left) = &mut self.framing {
            *left = left.saturating_sub(bytes.len() as u64);
        }
        match &mut self.content {
            Content::Events(events) => {
                if events.feed(bytes, &mut self.out).is_err() {
                    self.end = Some(End::Fault(AnswerFault::Broke));
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

    /// The upstream says that this is all. Where that is also what a broken connection looks like, the content decides.
    fn at_end(&mut self) {
        self.end_properly();
        let whole = match (self.framing, &self.content) {
            (Framing::Length(left), _) => left == 0,
            (Framing::Chunked, _) => true,
            (Framing::UntilClose, Content::Events(events)) => {
                events.is_done() || events.is_finished() || events.failure().is_some()
            }
            (Framing::UntilClose, Content::Json(members)) => members.is_complete(),
            (Framing::UntilClose, Content::Opaque) => true,
        };
        if !whole {
            self.end = Some(End::Fault(AnswerFault::Broke));
        }
    }

    /// The connection broke. An answer whose content is whole is whole all the same, unless its length was promised.
    fn at_break(&mut self) {
        self.end_properly();
        let whole = match &self.content {
            Content::Events(events) => events.is_done() || events.failure().is_some(),
            Content::Json(members) => members.is_complete(),
            Content::Opaque => false,
        };
        self.end = Some(match whole && !self.has_length() {
            true => End::BadlyFramed,
            false => End::Fault(AnswerFault::Broke),
        });
    }

    /// Whether the client is promised a length.
    fn has_length(&self) -> bool {
        matches!(self.framing, Framing::Length(_)) && !matches!(self.content, Content::Events(_))
    }

    /// The upstream is silent. Gives up on it, or lets the client know that we have not.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.silence.poll_exhausted(cx).is_ready() {
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
        if comment.poll_exhausted(cx).is_pending() {
            return Poll::Pending;
        }
        comment.rewarded();
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
                    // Trailers are not passed on, and an empty piece is no progress.
                    _ => {}
                },
                Poll::Ready(Some(Err(_))) => this.at_break(),
                Poll::Ready(None) => this.at_end(),
                Poll::Pending => std::task::ready!(this.poll_silence(cx)),
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
