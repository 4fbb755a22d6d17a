//! The response body that the client gets.
//!
//! A small state machine: `Open` passes the upstream's bytes on; `Complete` is its proper end; `Aborting` waits until what
//! was handed over is written and then ends in an error, so that the server closes the connection. The receipt is stored
//! on entering `Complete`, on leaving `Aborting`, or when the body is dropped, whichever comes first.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::Response;
use http_body::{Frame, SizeHint};

use super::answer::{Answer, AnswerBody, AnswerFault, Completeness};
use super::idle_timeout::IdleTimeout;
use crate::flushes::Flushes;
use crate::receipt::{Ending, Interruption, Returning, Routed, Unfinished};
use gateway_base::metering::{Cause, Outcome};
use gateway_retention::{SealingBody, SealingError, SealingRecord};

/// How long a stream's last event is held back, so that the receipt is stored before the client has read it.
const MAX_HOLD_TIME: Duration = Duration::from_millis(100);
/// The most bytes that are held back.
const MAX_HELD: usize = 64 * 1024;

/// Makes the client's response from an answer.
pub fn relay(
    answer: Answer,
    sealing: Option<SealingRecord>,
    receipt: Unfinished<Routed>,
    flushes: Flushes,
) -> Response<Body> {
    let mut receipt = receipt.returning(answer.status.as_u16());
    if flushes.are_counted() {
        receipt.track_writes();
    }
    let left = http_body::Body::size_hint(&answer.body).exact();
    let mut relayed = RelayBody {
        state: State::Open(SealingBody::new(answer.body, sealing)),
        left,
        receipt,
        flushed_before: flushes.completed(),
        flushes,
        hold_timeout: IdleTimeout::new(MAX_HOLD_TIME),
        held: None,
        may_hold: true,
    };
    // An empty body is never polled, so its receipt is stored here.
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
    reason = "there is one for each response, in a separate allocation"
)]
enum State {
    Open(SealingBody<AnswerBody>),
    /// Complete; the receipt is stored.
    Complete,
    /// Interrupted. The receipt is stored when the connection has written what was handed over.
    Aborting(Interruption),
}

struct RelayBody {
    state: State,
    /// Bytes still to be handed over, if the head announces a length.
    left: Option<u64>,
    receipt: Unfinished<Returning>,
    flushes: Flushes,
    /// How many flushes had completed when bytes, or the head, were last handed over.
    flushed_before: u64,
    hold_timeout: IdleTimeout,
    /// The final event, held back until the upstream's end is seen.
    held: Option<Bytes>,
    /// Becomes false with the first event that is held back: it happens once.
    may_hold: bool,
}

/// Makes the server close the client's connection without ending the response.
#[derive(Debug, thiserror::Error)]
#[error("the response was interrupted")]
struct Aborted;

/// What the upstream did.
enum Next {
    Bytes(Bytes),
    End,
    Interrupted(Interruption),
}

type Polled = Poll<Option<Result<Frame<Bytes>, Aborted>>>;

impl RelayBody {
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let State::Open(answer) = &mut self.state else {
            return Poll::Ready(Next::End);
        };
        let next = match ready!(http_body::Body::poll_frame(Pin::new(answer), cx)) {
            Some(Ok(frame)) => Next::Bytes(frame.into_data().unwrap_or_default()),
            Some(Err(SealingError::Upstream(fault))) => Next::Interrupted(match fault {
                AnswerFault::Closed => Interruption::UpstreamClosed,
                AnswerFault::Stalled => Interruption::UpstreamStalled,
                AnswerFault::ReportedError => Interruption::UpstreamError,
            }),
            Some(Err(SealingError::NotSealed)) => Next::Interrupted(Interruption::RetentionFailed),
            None => Next::End,
        };
        Poll::Ready(next)
    }

    /// Records whether everything that was handed over so far has been written.
    fn note_flushes(&mut self) {
        if self.flushes.completed() > self.flushed_before {
            self.receipt.mark_written();
        }
    }

    /// Passes bytes on to the client.
    fn emit(&mut self, bytes: Bytes) -> Polled {
        self.hand_over(&bytes);
        // The server does not poll again after the announced length, so the end is recorded with the last bytes.
        if self.left == Some(0) {
            self.complete();
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    /// Before the bytes leave this body: a flush that completes from now on may not include them.
    fn hand_over(&mut self, bytes: &Bytes) {
        self.receipt.add_body(bytes);
        self.flushed_before = self.flushes.completed();
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes.len() as u64);
        }
    }

    fn complete(&mut self) {
        // Before the state changes, which drops the answer that id and usage are read from.
        let completeness = self.meter();
        self.state = State::Complete;
        self.receipt.finish(Ending::Complete(match completeness {
            Completeness::Complete | Completeness::CompleteBadlyFramed => Outcome::Completed,
            Completeness::Unfinished => Outcome::UpstreamUnfinished,
            Completeness::Failed(_) => Outcome::UpstreamRejected,
        }));
    }

    /// Id, usage and faults of the answer, for the receipt.
    fn meter(&mut self) -> Completeness {
        let State::Open(answer) = &self.state else {
            return Completeness::Complete;
        };
        let answer = answer.body();
        self.receipt.set_metering(answer.id(), answer.usage());
        let completeness = answer.completeness();
        match completeness {
            Completeness::Complete => {}
            Completeness::CompleteBadlyFramed => self.receipt.upstream_failed(Cause::Framing),
            Completeness::Unfinished => self.receipt.upstream_failed(Cause::Unfinished),
            Completeness::Failed(failure) => self.receipt.upstream_failed(failure.cause()),
        }
        completeness
    }

    /// Starts to abort the response.
    fn interrupt(&mut self, why: Interruption) {
        // Now, while the answer exists: the next state drops it.
        self.meter();
        if let Some(cause) = why.cause() {
            self.receipt.upstream_failed(cause);
        }
        self.state = State::Aborting(why);
    }

    /// Ends in an error once everything that was handed over has been written: an error makes the server drop the rest. The
    /// connection's write timeout limits the wait.
    fn poll_aborting(&mut self, why: Interruption, cx: &mut Context<'_>) -> Polled {
        ready!(self.flushes.poll_after(self.flushed_before, cx));
        self.receipt.mark_written();
        self.receipt.finish(Ending::Interrupted(why));
        // The error is returned last: the server drops this body and its write buffer with it.
        self.state = State::Complete;
        Poll::Ready(Some(Err(Aborted)))
    }

    /// Waits briefly for the upstream's end before passing the final event on, so that the receipt is stored before the
    /// client can request it. A client may stop reading at that event.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Polled {
        loop {
            let next = match self.poll_upstream(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => {
                    // Both wakers are registered now: the upstream's by the poll above, the timer's by this one.
                    ready!(self.hold_timeout.poll_expired(cx));
                    return self.release();
                }
            };
            let Some(held) = self.held.take() else {
                return Poll::Ready(None);
            };
            match next {
                Next::Bytes(more) => {
                    let together = BytesMut::from_iter(held.iter().chain(more.iter())).freeze();
                    // Not the end after all: what follows is held too, up to a limit.
                    let too_much = together.len() > MAX_HELD;
                    self.held = Some(together);
                    if too_much {
                        return self.release();
                    }
                }
                // The receipt is stored before the final event is returned to the server.
                Next::End => {
                    self.hand_over(&held);
                    self.complete();
                    return Poll::Ready(Some(Ok(Frame::data(held))));
                }
                Next::Interrupted(why) => {
                    self.hand_over(&held);
                    // The final event has arrived and is passed on; the next poll waits until it is written and then
                    // aborts.
                    self.interrupt(why);
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

    /// Whether the bytes that have just arrived contain a stream's final event.
    fn should_hold(&mut self) -> bool {
        let done = matches!(&self.state, State::Open(answer) if answer.body().is_done_passed_on());
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
            Next::Interrupted(why) => {
                self.interrupt(why);
                self.poll_aborting(why, cx)
            }
        }
    }
}

impl http_body::Body for RelayBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        this.note_flushes();
        // A held event takes precedence over new bytes, which come after it.
        match this.state {
            // After the end, or after the error that closed the connection.
            State::Complete => Poll::Ready(None),
            State::Aborting(why) => this.poll_aborting(why, cx),
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

/// A client that disconnects after the final event has got the complete response; before it, an interrupted one. The
/// receipt gets the metering so far either way.
impl Drop for RelayBody {
    fn drop(&mut self) {
        self.note_flushes();
        let ending = match &self.state {
            State::Complete => return,
            State::Aborting(why) => Ending::Interrupted(*why),
            State::Open(answer) if answer.body().is_done_passed_on() && self.held.is_none() => {
                Ending::Complete(Outcome::Completed)
            }
            State::Open(_) => Ending::Interrupted(Interruption::ConnectionClosed),
        };
        match ending {
            Ending::Complete(_) => self.complete(),
            Ending::Interrupted(_) => {
                self.meter_so_far();
                self.receipt.finish(ending);
            }
        }
    }
}

impl RelayBody {
    /// For an answer that has not ended: without its completeness.
    fn meter_so_far(&mut self) {
        if let State::Open(answer) = &self.state {
            let answer = answer.body();
            self.receipt.set_metering(answer.id(), answer.usage());
        }
    }
}
