//! The response on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::Response;
use http_body::{Frame, SizeHint};

use super::answer::{Answer, AnswerBody, AnswerFault, Completeness};
use super::patience::Patience;
use crate::flushes::Flushes;
use crate::receipt::{CutShort, Ending, Recorder};
use gateway_base::metering::{Cause, Outcome};
use gateway_retention::{Recorded, Stopped, Tape};

/// A stream's last event is kept back this long, so that the receipt is there when the client has read it.
const END_GRACE: Duration = Duration::from_millis(100);
/// No more than this is ever kept back.
const MAX_HELD: usize = 64 * 1024;

/// The answer as the client gets it: its bytes, and of its head what is on our list.
pub fn relay(
    answer: Answer,
    tape: Option<Tape>,
    mut recorder: Recorder,
    flushes: Flushes,
) -> Response<Body> {
    recorder.answering(answer.status.as_u16());
    if flushes.are_counted() {
        recorder.confirms_sending();
    }
    let left = http_body::Body::size_hint(&answer.body).exact();
    let mut relayed = Relayed {
        state: State::Open(Recorded::new(answer.body, tape)),
        left,
        recorder,
        flushed_before: flushes.completed(),
        flushes,
        grace: Patience::new(END_GRACE),
        held: None,
        may_hold: true,
    };
    if left == Some(0) {
        relayed.complete();
    }
    let mut response = Response::new(Body::new(relayed));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each response, inside an allocation of its own"
)]
enum State {
    Open(Recorded<AnswerBody>),
    /// Over as it should be; nothing more to say.
    Complete,
    /// Cut short. What was handed over is still to be written, and then the client's connection to be broken off.
    Breaking(CutShort),
}

struct Relayed {
    state: State,
    /// Bytes still to be handed over, where the head promises a length.
    left: Option<u64>,
    recorder: Recorder,
    flushes: Flushes,
    /// How many flushes had completed when bytes, or the head, were last handed over.
    flushed_before: u64,
    grace: Patience,
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

type Polled = Poll<Option<Result<Frame<Bytes>, Cut>>>;

impl Relayed {
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let State::Open(answer) = &mut self.state else {
            return Poll::Ready(Next::End);
        };
        let next = match ready!(http_body::Body::poll_frame(Pin::new(answer), cx)) {
            Some(Ok(frame)) => Next::Bytes(frame.into_data().unwrap_or_default()),
            Some(Err(Stopped::Upstream(fault))) => Next::Cut(match fault {
                AnswerFault::Broke => CutShort::UpstreamBroke,
                AnswerFault::Stalled => CutShort::UpstreamStalled,
                AnswerFault::ReportedError => CutShort::UpstreamError,
            }),
            Some(Err(Stopped::Unkept)) => Next::Cut(CutShort::Unkept),
            None => Next::End,
        };
        Poll::Ready(next)
    }

    /// Notes when everything that was handed over so far has been written.
    fn note_flushes(&mut self) {
        if self.flushes.completed() > self.flushed_before {
            self.recorder.sent();
        }
    }

    /// Bytes that go to the client now.
    fn emit(&mut self, bytes: Bytes) -> Polled {
        self.hand_over(&bytes);
        if self.left == Some(0) {
            self.complete();
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn hand_over(&mut self, bytes: &Bytes) {
        self.recorder.emitting(bytes);
        self.flushed_before = self.flushes.completed();
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes.len() as u64);
        }
    }

    fn complete(&mut self) {
        let completeness = self.meter();
        self.state = State::Complete;
        self.recorder.finish(Ending::Whole(match completeness {
            Completeness::Whole | Completeness::WholeBadlyFramed => Outcome::Completed,
            Completeness::Unfinished => Outcome::UpstreamUnfinished,
            Completeness::Failed(_) => Outcome::UpstreamRejected,
        }));
    }

    /// What is known of the answer goes into the record.
    fn meter(&mut self) -> Completeness {
        let State::Open(answer) = &self.state else {
            return Completeness::Whole;
        };
        let answer = answer.body();
        self.recorder.metered(answer.id(), answer.usage());
        let completeness = answer.completeness();
        match completeness {
            Completeness::Whole => {}
            Completeness::WholeBadlyFramed => self.recorder.upstream_failed(Cause::Framing),
            Completeness::Unfinished => self.recorder.upstream_failed(Cause::Unfinished),
            Completeness::Failed(failure) => self.recorder.upstream_failed(failure.cause()),
        }
        completeness
    }

    /// Begins to break off.
    fn cut(&mut self, why: CutShort) {
        self.meter();
        if let Some(cause) = why.cause() {
            self.recorder.upstream_failed(cause);
        }
        self.state = State::Breaking(why);
    }

    /// Breaks off once everything that was handed over has been written: an error makes the server drop what has not.
    /// How long that may take is the connection's to bound.
    fn poll_breaking(&mut self, why: CutShort, cx: &mut Context<'_>) -> Polled {
        ready!(self.flushes.poll_after(self.flushed_before, cx));
        self.recorder.sent();
        self.recorder.finish(Ending::CutShort(why));
        self.state = State::Complete;
        Poll::Ready(Some(Err(Cut)))
    }

    /// With the final event in hand: wait briefly for the upstream's end, so that the receipt is filed before the
    /// client can ask for it. A client may stop reading at that event.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Polled {
        loop {
            let next = match self.poll_upstream(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => {
                    ready!(self.grace.poll_exhausted(cx));
                    return self.release();
                }
            };
            let Some(held) = self.held.take() else {
                return Poll::Ready(None);
            };
            match next {
                Next::Bytes(more) => {
                    let together = BytesMut::from_iter(held.iter().chain(more.iter())).freeze();
                    let too_much = together.len() > MAX_HELD;
                    self.held = Some(together);
                    if too_much {
                        return self.release();
                    }
                }
                Next::End => {
                    self.hand_over(&held);
                    self.complete();
                    return Poll::Ready(Some(Ok(Frame::data(held))));
                }
                Next::Cut(why) => {
                    self.hand_over(&held);
                    self.cut(why);
                    return Poll::Ready(Some(Ok(Frame::data(held))));
                }
            }
        }
    }

    fn release(&mut self) -> Polled {
        match self.held.take() {
            Some(held) => self.emit(held),
            None => Poll::Ready(None),
        }
    }

    /// Whether the bytes that have just come bring a stream's final event, and its end is still to be seen.
    fn should_hold(&mut self) -> bool {
        let done = matches!(&self.state, State::Open(answer) if answer.body().said_done());
        let hold = self.may_hold && done;
        self.may_hold &= !hold;
        hold
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Polled {
        match ready!(self.poll_upstream(cx)) {
            Next::Bytes(bytes) if self.should_hold() => {
                self.held = Some(bytes);
                self.poll_held(cx)
            }
            Next::Bytes(bytes) => self.emit(bytes),
            Next::End => {
                self.complete();
                Poll::Ready(None)
            }
            Next::Cut(why) => {
                self.cut(why);
                self.poll_breaking(why, cx)
            }
        }
    }
}

impl http_body::Body for Relayed {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        this.note_flushes();
        match this.state {
            State::Complete => Poll::Ready(None),
            State::Breaking(why) => this.poll_breaking(why, cx),
            State::Open(_) if this.held.is_some() => this.poll_held(cx),
            State::Open(_) => this.poll_open(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

/// A caller that goes away after the final event has had the whole response; anywhere else it has not. The metering
/// so far goes into the record either way.
impl Drop for Relayed {
    fn drop(&mut self) {
        self.note_flushes();
        let ending = match &self.state {
            State::Complete => return,
            State::Breaking(why) => Ending::CutShort(*why),
            State::Open(answer) if answer.body().said_done() && self.held.is_none() => {
                Ending::Whole(Outcome::Completed)
            }
            State::Open(_) => Ending::CutShort(CutShort::ConnectionClosed),
        };
        match ending {
            Ending::Whole(_) => self.complete(),
            Ending::CutShort(_) => {
                self.meter_so_far();
                self.recorder.finish(ending);
            }
        }
    }
}

impl Relayed {
    /// For an answer that has not ended: its metering alone.
    fn meter_so_far(&mut self) {
        if let State::Open(answer) = &self.state {
            let answer = answer.body();
            self.recorder.metered(answer.id(), answer.usage());
        }
    }
}
