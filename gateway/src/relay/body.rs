//! The response on its way through.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::Response;
use http::header::CONTENT_TYPE;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::head::{Framing, passed_on, text};
use super::patience::Patience;
use super::scan::Scanner;
use crate::channel::UpstreamBody;
use crate::config::Timeouts;
use crate::ledger::Outcome;
use crate::receipt::{CutShort, Ending, Recorder};
use crate::retention::{Recorded, Stopped, Tape};

/// A stream's last event is kept back this long, so that the receipt is there when the client has read it.
const END_GRACE: Duration = Duration::from_millis(100);
/// No more than this is ever kept back.
const MAX_HELD: usize = 64 * 1024;

/// A successful response of an upstream.
pub struct Answer {
    pub response: Response<UpstreamBody>,
    pub first_byte: Duration,
    pub idle: Duration,
}

impl Answer {
    pub fn new(response: Response<UpstreamBody>, timeouts: &Timeouts) -> Self {
        Self {
            response,
            first_byte: timeouts.first_byte,
            idle: timeouts.idle,
        }
    }
}

/// The upstream's response as the client gets it: its bytes, and of its head what is on our list.
pub fn relay(answer: Answer, tape: Option<Tape>, mut recorder: Recorder) -> Response<Body> {
    let (head, upstream) = answer.response.into_parts();
    recorder.answering(head.status.as_u16());
    let mut relayed = Relayed {
        scanner: Scanner::for_content_type(text(&head.headers, &CONTENT_TYPE)),
        framing: Framing::of(&head.headers),
        state: State::Open(Recorded::new(upstream, tape)),
        recorder,
        patience: Patience::new(answer.first_byte),
        idle: answer.idle,
        begun: false,
        held: None,
        may_hold: true,
    };
    if relayed.framing == Framing::Length(0) {
        relayed.complete();
    }
    let mut response = Response::new(Body::new(relayed));
    *response.status_mut() = head.status;
    *response.headers_mut() = passed_on(&head.headers);
    response
}

#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each response, inside an allocation of its own"
)]
enum State {
    Open(Recorded),
    /// Over as it should be; nothing more to say.
    Complete,
    /// Cut short; the client's stream is still to be broken off.
    Broken,
}

struct Relayed {
    state: State,
    framing: Framing,
    scanner: Scanner,
    recorder: Recorder,
    patience: Patience,
    idle: Duration,
    /// Whether body bytes have come.
    begun: bool,
    /// The final event, until the upstream's end is seen.
    held: Option<Bytes>,
    may_hold: bool,
}

/// Makes the server break the client's connection off.
#[derive(Debug, thiserror::Error)]
#[error("the response was cut short")]
struct Cut;

/// What the upstream did.
enum Next {
    Bytes(Bytes),
    End,
    Cut(CutShort),
}

impl Relayed {
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let State::Open(upstream) = &mut self.state else {
            return Poll::Ready(Next::End);
        };
        loop {
            match http_body::Body::poll_frame(Pin::new(&mut *upstream), cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => return Poll::Ready(Next::Bytes(bytes)),
                    // Trailers are not relayed, and an empty piece is no progress.
                    _ => continue,
                },
                Poll::Ready(Some(Err(Stopped::Upstream))) => {
                    return Poll::Ready(Next::Cut(CutShort::UpstreamBroke));
                }
                Poll::Ready(Some(Err(Stopped::Unkept))) => {
                    return Poll::Ready(Next::Cut(CutShort::Unkept));
                }
                Poll::Ready(None) => return Poll::Ready(self.at_end()),
                Poll::Pending if self.held.is_some() => return Poll::Pending,
                Poll::Pending => {
                    ready!(self.patience.poll_exhausted(cx));
                    return Poll::Ready(Next::Cut(CutShort::UpstreamStalled));
                }
            }
        }
    }

    /// The upstream says that this is all. Where that is also what a broken connection looks like, the content decides.
    fn at_end(&self) -> Next {
        let whole = match self.framing {
            Framing::Length(left) => left == 0,
            Framing::Chunked => true,
            Framing::UntilClose => self.scanner.looks_whole() != Some(false),
        };
        if whole {
            Next::End
        } else {
            Next::Cut(CutShort::UpstreamBroke)
        }
    }

    /// Looks at bytes that have just come.
    fn take(&mut self, bytes: &Bytes) {
        if self.begun {
            self.patience.rewarded();
        } else {
            self.begun = true;
            self.patience.rewarded_with(self.idle);
        }
        self.scanner.feed(bytes);
        if let Framing::Length(left) = &mut self.framing {
            *left = left.saturating_sub(bytes.len() as u64);
        }
    }

    /// Bytes that go to the client now.
    fn emit(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.recorder.emitting(&bytes);
        if self.framing == Framing::Length(0) {
            self.complete();
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn complete(&mut self) {
        self.state = State::Complete;
        self.file(Ending::Whole(Outcome::Completed));
    }

    fn cut(&mut self, why: CutShort) {
        self.state = State::Broken;
        self.file(Ending::CutShort(why));
    }

    fn file(&mut self, ending: Ending) {
        self.recorder
            .metered(self.scanner.id(), self.scanner.usage());
        self.recorder.finish(ending);
    }

    /// With the final event in hand: wait briefly for the upstream's end, so that the receipt is filed before the
    /// client can ask for it. A client may stop reading at that event.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            let next = match self.poll_upstream(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => {
                    ready!(self.patience.poll_exhausted(cx));
                    self.patience.rewarded_with(self.idle);
                    return self.release();
                }
            };
            let Some(held) = self.held.take() else {
                return Poll::Ready(None);
            };
            match next {
                Next::Bytes(more) => {
                    self.take(&more);
                    let together = BytesMut::from_iter(held.iter().chain(more.iter())).freeze();
                    self.held = Some(together);
                    if self.framing == Framing::Length(0) || self.held_too_much() {
                        return self.release();
                    }
                }
                Next::End => {
                    self.recorder.emitting(&held);
                    self.complete();
                    return Poll::Ready(Some(Ok(Frame::data(held))));
                }
                Next::Cut(why) => {
                    self.recorder.emitting(&held);
                    self.cut(why);
                    return Poll::Ready(Some(Ok(Frame::data(held))));
                }
            }
        }
    }

    fn held_too_much(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.len() > MAX_HELD)
    }

    fn release(&mut self) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.held.take() {
            Some(held) => self.emit(held),
            None => Poll::Ready(None),
        }
    }

    /// Whether these bytes bring a stream's final event, and its end is still to be seen.
    fn should_hold(&mut self) -> bool {
        let hold = self.may_hold && self.scanner.said_done() && self.framing != Framing::Length(0);
        if hold {
            self.may_hold = false;
            self.patience.rewarded_with(END_GRACE);
        }
        hold
    }
}

impl http_body::Body for Relayed {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        match this.state {
            State::Open(_) => {}
            State::Complete => return Poll::Ready(None),
            State::Broken => {
                this.state = State::Complete;
                return Poll::Ready(Some(Err(Cut)));
            }
        }
        if this.held.is_some() {
            return this.poll_held(cx);
        }
        match ready!(this.poll_upstream(cx)) {
            Next::Bytes(bytes) => {
                this.take(&bytes);
                if this.should_hold() {
                    this.held = Some(bytes);
                    return this.poll_held(cx);
                }
                this.emit(bytes)
            }
            Next::End => {
                this.complete();
                Poll::Ready(None)
            }
            Next::Cut(why) => {
                this.cut(why);
                this.state = State::Complete;
                Poll::Ready(Some(Err(Cut)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, |held| held.len() as u64);
        match self.framing {
            Framing::Length(left) => SizeHint::with_exact(left + held),
            Framing::Chunked | Framing::UntilClose => SizeHint::default(),
        }
    }
}

/// A caller that goes away after the final event has had the whole response; anywhere else it has not. The metering
/// so far goes into the record either way.
impl Drop for Relayed {
    fn drop(&mut self) {
        if !matches!(self.state, State::Open(_)) {
            return;
        }
        let had_it_all = self.scanner.said_done() && self.held.is_none();
        self.file(match had_it_all {
            true => Ending::Whole(Outcome::Completed),
            false => Ending::CutShort(CutShort::ConnectionClosed),
        });
    }
}
