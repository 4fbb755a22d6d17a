//! The response body that the client gets.
//!
//! [`RelayedBody`] hands an upstream's answer over, in three states. `Open` passes on what may leave ([`recorded`],
//! [`hold_back`]); `Aborting` waits until what was handed over is written and then ends in an error, so that the server
//! closes the connection; `Over` is the end. It owns everything that the response needs: the answer with its upstream's
//! connection, the record and the bytes that are held back, until `Open` ends; the receipt ([`handed_over`]), which is
//! stored with the last bytes, on leaving `Aborting`, or when the body is dropped, whichever comes first.

mod handed_over;
mod hold_back;
mod recorded;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use super::answer::Answer;
use crate::flushes::Flushes;
use crate::receipt::{Ending, Interruption, Routed, Unfinished};
use gateway_base::request::COST;
use gateway_retention::SealingRecord;
use handed_over::HandedOver;
use recorded::{Next, RecordedAnswer};

/// The body of every response of the relay.
pub enum ResponseBody {
    Relayed(Box<RelayedBody>),
    /// Our own error, whose receipt is stored already.
    Own(Full<Bytes>),
}

/// Makes the server close the client's connection without ending the response.
#[derive(Debug, thiserror::Error)]
#[error("the response was interrupted")]
pub struct Aborted;

/// An upstream's answer on its way to the client.
pub struct RelayedBody {
    state: State,
    handed_over: HandedOver,
}

#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each response, in a separate allocation"
)]
enum State {
    Open(RecordedAnswer),
    /// The receipt is stored when the connection has written what was handed over.
    Aborting(Interruption),
    /// The receipt is stored.
    Over,
}

/// Makes the client's response from an answer.
pub(super) fn relay(
    answer: Answer,
    record: Option<SealingRecord>,
    receipt: Unfinished<Routed>,
    flushes: Flushes,
) -> Response<ResponseBody> {
    let cost = answer
        .body
        .messages()
        .usage_before_begin()
        .and_then(|usage| receipt.shown_cost(usage));
    let mut relayed = RelayedBody {
        handed_over: HandedOver::new(receipt, answer.status.as_u16(), flushes),
        state: State::Open(RecordedAnswer::new(answer.body, record)),
    };
    // An empty body is never polled, so its receipt is stored here.
    if relayed.remaining() == Some(0) {
        relayed.complete();
    }
    let mut response = Response::new(ResponseBody::Relayed(Box::new(relayed)));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if let Some(cost) = cost.and_then(|cost| HeaderValue::try_from(cost.to_string()).ok()) {
        response.headers_mut().insert(COST, cost);
    }
    response
}

type Polled = Poll<Option<Result<Frame<Bytes>, Aborted>>>;

impl RelayedBody {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        self.handed_over.note_flushes();
        let next = match &mut self.state {
            State::Open(answer) => ready!(answer.poll_next(cx)),
            State::Aborting(why) => Next::End(None, Err(*why)),
            State::Over => Next::End(None, Ok(())),
        };
        let (bytes, ended) = match next {
            Next::Bytes(bytes) => (Some(bytes), None),
            Next::End(last, ended) => (last, Some(ended)),
        };
        if let Some(bytes) = &bytes {
            self.handed_over.add(bytes);
        }
        match ended {
            None => {}
            // With the last bytes and not after them: the server does not poll again after the announced length, and the
            // client may ask for the receipt as soon as it has them.
            Some(Ok(())) => self.complete(),
            Some(Err(why)) => {
                self.interrupt(why);
                if bytes.is_none() {
                    return self.poll_aborting(why);
                }
            }
        }
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn complete(&mut self) {
        if let State::Open(answer) = &self.state {
            self.handed_over.meter(answer.messages());
            let outcome = self.handed_over.assess(answer.messages());
            self.handed_over.finish(Ending::Complete(outcome));
        }
        self.state = State::Over;
    }

    /// Starts to abort the response.
    fn interrupt(&mut self, why: Interruption) {
        if let State::Open(answer) = &self.state {
            self.handed_over.meter(answer.messages());
            self.handed_over.assess(answer.messages());
            if let Some(cause) = why.cause() {
                self.handed_over.failed(cause);
            }
        }
        self.state = State::Aborting(why);
    }

    /// Ends in an error once everything that was handed over has been written: an error makes the server drop the rest.
    fn poll_aborting(&mut self, why: Interruption) -> Polled {
        ready!(self.handed_over.poll_written());
        self.handed_over.finish(Ending::Interrupted(why));
        // The error is returned last: the server drops this body and its write buffer with it.
        self.state = State::Over;
        Poll::Ready(Some(Err(Aborted)))
    }

    fn remaining(&self) -> Option<u64> {
        match &self.state {
            State::Open(answer) => answer.remaining(),
            State::Aborting(_) => None,
            State::Over => Some(0),
        }
    }
}

/// A client that disconnects after the final event has got the complete response; before it, an interrupted one. The
/// receipt gets the metering so far either way.
impl Drop for RelayedBody {
    fn drop(&mut self) {
        self.handed_over.note_flushes();
        match &self.state {
            State::Over => {}
            State::Aborting(why) => self.handed_over.finish(Ending::Interrupted(*why)),
            State::Open(answer) if answer.is_end_released() => self.complete(),
            State::Open(answer) => {
                self.handed_over.meter(answer.messages());
                let why = Interruption::ConnectionClosed;
                self.handed_over.finish(Ending::Interrupted(why));
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match self.get_mut() {
            ResponseBody::Relayed(relayed) => relayed.poll(cx),
            ResponseBody::Own(own) => Pin::new(own).poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Relayed(relayed) => matches!(relayed.state, State::Over),
            ResponseBody::Own(own) => own.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Relayed(relayed) => match relayed.remaining() {
                Some(left) => SizeHint::with_exact(left),
                None => SizeHint::default(),
            },
            ResponseBody::Own(own) => own.size_hint(),
        }
    }
}
