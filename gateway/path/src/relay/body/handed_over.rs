//! What of a response was handed to the connection, and what of that the connection has written, for the receipt.

use std::task::Poll;

use bytes::Bytes;

use crate::flushes::Flushes;
use crate::receipt::{Ending, Returning, Routed, Unfinished};
use crate::relay::answer::{Completeness, Messages};
use gateway_base::metering::{Cause, Outcome};

/// The receipt of a response while it is returned.
pub(super) struct HandedOver {
    receipt: Unfinished<Returning>,
    flushes: Flushes,
    /// How many flushes had completed when bytes, or the head, were last handed over.
    flushed_before: u64,
}

impl HandedOver {
    pub(super) fn new(receipt: Unfinished<Routed>, status: u16, flushes: Flushes) -> Self {
        let mut receipt = receipt.returning(status);
        receipt.answered();
        if flushes.are_counted() {
            receipt.track_writes();
        }
        Self {
            receipt,
            flushed_before: flushes.completed(),
            flushes,
        }
    }

    /// Before the bytes are handed over: a flush that completes from now on may not include them.
    pub(super) fn add(&mut self, bytes: &Bytes) {
        self.receipt.add_body(bytes);
        self.flushed_before = self.flushes.completed();
    }

    /// Records whether everything that was handed over so far has been written.
    pub(super) fn note_flushes(&mut self) {
        if self.flushes.completed() > self.flushed_before {
            self.receipt.mark_written();
        }
    }

    /// Ready when everything that was handed over has been written. The connection polls again after each flush, and its
    /// write timeout limits the wait.
    pub(super) fn poll_written(&mut self) -> Poll<()> {
        if !self.flushes.are_after(self.flushed_before) {
            return Poll::Pending;
        }
        self.receipt.mark_written();
        Poll::Ready(())
    }

    /// Id and usage, as far as the answer was read.
    pub(super) fn meter(&mut self, answer: &Messages) {
        self.receipt.set_metering(answer.id(), answer.usage());
    }

    /// What was wrong with an answer that has ended, by its content and framing.
    pub(super) fn assess(&mut self, answer: &Messages) -> Outcome {
        let (cause, outcome) = match answer.completeness() {
            Completeness::Complete => (None, Outcome::Completed),
            Completeness::CompleteBadlyFramed => (Some(Cause::Framing), Outcome::Completed),
            Completeness::Unfinished => (Some(Cause::Unfinished), Outcome::UpstreamUnfinished),
            Completeness::Failed(failure) => (Some(failure.cause()), Outcome::UpstreamRejected),
        };
        if let Some(cause) = cause {
            self.failed(cause);
        }
        outcome
    }

    /// The upstream's failure.
    pub(super) fn failed(&mut self, cause: Cause) {
        self.receipt.upstream_failed(cause);
    }

    /// Stores the receipt. Later calls do nothing.
    pub(super) fn finish(&mut self, ending: Ending) {
        self.receipt.finish(ending);
    }
}
