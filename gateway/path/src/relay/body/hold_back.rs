//! Holds the end of a response back until it may leave.
//!
//! A client may stop reading at the end, and may then ask for the receipt. So the end leaves last: when the receipt is
//! stored and, if there is one, the record is closed.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::relay::deadline::MovingDeadline;

/// How long a stream's final event waits for the upstream's end.
const MAX_TIME: Duration = Duration::from_millis(100);
/// The most bytes that are held back after the piece with the final event.
const MAX_MORE: usize = 64 * 1024;

/// The end of a response.
#[derive(Default)]
pub(super) struct HoldBack {
    held: Option<Bytes>,
    /// How many of the held bytes came later than the first piece.
    more: usize,
    /// The end was released, which happens once: what follows it is passed on as it comes.
    released: bool,
    /// The first poll since bytes are held that found nothing more.
    since: Option<Instant>,
    deadline: MovingDeadline,
}

impl HoldBack {
    pub(super) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// Everything that a client needs was released.
    pub(super) fn is_released(&self) -> bool {
        self.released
    }

    pub(super) fn len(&self) -> usize {
        self.held.as_ref().map_or(0, Bytes::len)
    }

    /// Holds these bytes too. What follows a final event is seldom more than nothing, so this seldom copies.
    pub(super) fn add(&mut self, bytes: Bytes) {
        self.held = Some(match self.held.take() {
            None => bytes,
            Some(held) => {
                self.more += bytes.len();
                [held, bytes].concat().into()
            }
        });
    }

    /// More follows the final event than can be the rest of its message.
    pub(super) fn is_too_much(&self) -> bool {
        self.more > MAX_MORE
    }

    /// Ready when bytes are held, and were for too long.
    pub(super) fn poll_too_long(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.held.is_none() {
            return Poll::Pending;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        self.deadline.poll(since + MAX_TIME, cx)
    }

    /// What was held, if anything.
    pub(super) fn release(&mut self) -> Option<Bytes> {
        self.released = true;
        self.held.take()
    }
}
