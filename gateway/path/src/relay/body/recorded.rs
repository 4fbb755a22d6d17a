//! An answer whose pieces leave when they may: written to the record, if there is one, and the end held back.
//!
//! ```text
//! Reading ── piece ──► Sealing ── written ──► passed on, or held back if the message ends with it
//!    ▲                    │                                    │
//!    └────────────────────┴────── not the end ◄────────────────┤
//!                                                              │ the upstream's end, or its failure
//!                                        leaves ◄── closed ── Closing
//! ```
//!
//! Without a record `Sealing` and `Closing` take no time. A client never has the end of a response without the whole
//! record. If the record fails, the policy decides: the response is interrupted, or goes on without a record.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::hold_back::HoldBack;
use crate::receipt::Interruption;
use crate::relay::answer::{AnswerBody, Messages, Next as Read, Piece, Place};
use attest_core::retention::OnFailure;
use gateway_retention::SealingRecord;
use gateway_store::ledger::RecordState;

/// What may leave.
pub(super) enum Next {
    Bytes(Bytes),
    /// These are the last bytes. With them the response is complete, or after them it is interrupted.
    End(Option<Bytes>, Result<(), Interruption>),
}

/// An answer with its record.
pub(super) struct RecordedAnswer {
    answer: AnswerBody,
    /// `None` if the policy requires none, or does not require it any more since it failed.
    record: Option<SealingRecord>,
    end: HoldBack,
    step: Step,
}

enum Step {
    /// The upstream is read.
    Reading,
    /// The record writes this piece.
    Sealing(Piece),
    /// The record is closed, and then the answer has ended so.
    Closing(Result<(), Interruption>),
}

impl RecordedAnswer {
    pub(super) fn new(answer: AnswerBody, mut record: Option<SealingRecord>) -> Self {
        if let Some(record) = &mut record {
            record.begin_response();
        }
        Self {
            answer,
            record,
            end: HoldBack::default(),
            step: Step::Reading,
        }
    }

    pub(super) fn messages(&self) -> &Messages {
        self.answer.messages()
    }

    /// The final event has left.
    pub(super) fn is_end_released(&self) -> bool {
        self.end.is_released()
    }

    /// The bytes that are still to leave, if their number is announced to the client.
    pub(super) fn remaining(&self) -> Option<u64> {
        let waiting = match &self.step {
            Step::Sealing(piece) => piece.bytes.len(),
            Step::Reading | Step::Closing(_) => 0,
        };
        let unread = self.answer.messages().remaining()?;
        Some(unread + (waiting + self.end.len()) as u64)
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            // The upstream is not read while a write runs: a slow disk slows the upstream down.
            if let Err(why) = ready!(self.poll_record(cx)) {
                return Poll::Ready(Next::End(None, Err(why)));
            }
            let next = match std::mem::replace(&mut self.step, Step::Reading) {
                Step::Sealing(piece) => self.pass(piece),
                Step::Closing(ended) => Some(Next::End(self.end.release(), ended)),
                Step::Reading => match self.answer.poll_next(cx) {
                    Poll::Ready(read) => self.take(read),
                    Poll::Pending => Some(Next::Bytes(ready!(self.poll_release(cx)))),
                },
            };
            if let Some(next) = next {
                return Poll::Ready(next);
            }
        }
    }

    /// Ready when the record has everything that it was given.
    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Interruption>> {
        let Some(record) = &mut self.record else {
            return Poll::Ready(Ok(()));
        };
        let written = ready!(record.poll_written(cx));
        Poll::Ready(written.or_else(|on_failure| self.without_record(on_failure)))
    }

    fn without_record(&mut self, on_failure: OnFailure) -> Result<(), Interruption> {
        self.record = None;
        match on_failure {
            OnFailure::Refuse => Err(Interruption::RetentionFailed),
            OnFailure::Serve => Ok(()),
        }
    }

    fn take(&mut self, read: Read) -> Option<Next> {
        match read {
            Read::Piece(piece) => {
                if let Some(record) = &mut self.record {
                    record.write(&piece.bytes);
                }
                self.step = Step::Sealing(piece);
            }
            Read::End(ended) => self.close(ended),
        }
        None
    }

    /// A piece that is written.
    fn pass(&mut self, piece: Piece) -> Option<Next> {
        let ends = match piece.place {
            Place::Middle => self.end.is_holding(),
            Place::Final => !self.end.is_released(),
            Place::Last => true,
        };
        if !ends {
            return Some(Next::Bytes(piece.bytes));
        }
        self.end.add(piece.bytes);
        if piece.place == Place::Last {
            self.close(Ok(()));
            return None;
        }
        if !self.end.is_too_much() {
            return None;
        }
        // The message does not end here after all.
        if let Some(mut record) = self.record.take()
            && let Err(why) = self.without_record(record.abandon())
        {
            return Some(Next::End(None, Err(why)));
        }
        self.end.release().map(Next::Bytes)
    }

    fn close(&mut self, ended: Result<(), Interruption>) {
        self.step = Step::Closing(ended);
        match &mut self.record {
            Some(record) if ended.is_ok() => record.close(RecordState::Whole),
            // What is held back leaves before the interruption, so the record has it first. Without such bytes the record
            // is closed when it is dropped.
            Some(record) if self.end.is_holding() => record.close(RecordState::Cut),
            _ => {}
        }
    }

    /// The upstream sends nothing more for now. Ready when the final event is not to wait for its end any longer; with a
    /// record it always waits, since the record is not whole before.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if self.record.is_some() {
            return Poll::Pending;
        }
        // The upstream's waker is registered, by the poll before this one, and the timer's is by this one.
        ready!(self.end.poll_too_long(cx));
        self.end.release().map_or(Poll::Pending, Poll::Ready)
    }
}
