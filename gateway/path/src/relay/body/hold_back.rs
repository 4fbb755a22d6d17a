//! Holds the end of a response back until it may leave.
//!
//! A client may stop reading at the end, and may then ask for the receipt. So the end leaves last: when the receipt is
//! stored and, if there is one, the record is closed.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::relay::deadline::MovingDeadline;

/// How long a stream's final event waits for the upstream's end.
const MAX_TIME: Duration = Duration::from_millis(100);
/// The most bytes that are held back after the piece with the final event.
const MAX_MORE: usize = 64 * 1024;

/// The end of a response.
#[derive(Default)]
pub(super) enum HoldBack {
    /// It has not arrived.
    #[default]
    Empty,
    Holding(Held),
    /// It has been released, which happens once: what follows it is passed on as it comes.
    Released,
}

/// Bytes that are held back.
pub(super) struct Held {
    bytes: Bytes,
    /// How many of them came later than the first.
    more: usize,
    /// The first poll that found nothing more.
    since: Option<Instant>,
    deadline: MovingDeadline,
}

impl HoldBack {
    pub(super) fn is_holding(&self) -> bool {
        matches!(self, HoldBack::Holding(_))
    }

    /// Everything that a client needs was released.
    pub(super) fn is_released(&self) -> bool {
        matches!(self, HoldBack::Released)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            HoldBack::Holding(held) => held.bytes.len(),
            HoldBack::Empty | HoldBack::Released => 0,
        }
    }

    /// Holds these bytes too. What follows a final event is seldom more than nothing, so this seldom copies.
    pub(super) fn add(&mut self, bytes: Bytes) {
        match self {
            HoldBack::Holding(held) => {
                held.more += bytes.len();
                let mut together = BytesMut::with_capacity(held.bytes.len() + bytes.len());
                together.extend_from_slice(&held.bytes);
                together.extend_from_slice(&bytes);
                held.bytes = together.freeze();
            }
            HoldBack::Empty | HoldBack::Released => {
                *self = HoldBack::Holding(Held {
                    bytes,
                    more: 0,
                    since: None,
                    deadline: MovingDeadline::default(),
                });
            }
        }
    }

    /// More follows the final event than can be the rest of its message.
    pub(super) fn is_too_much(&self) -> bool {
        matches!(self, HoldBack::Holding(held) if held.more > MAX_MORE)
    }

    /// Ready when bytes are held, and were for too long.
    pub(super) fn poll_too_long(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let HoldBack::Holding(held) = self else {
            return Poll::Pending;
        };
        let since = *held.since.get_or_insert_with(Instant::now);
        ready!(held.deadline.poll(since + MAX_TIME, cx));
        Poll::Ready(())
    }

    /// What was held, if anything.
    pub(super) fn release(&mut self) -> Option<Bytes> {
        match std::mem::replace(self, HoldBack::Released) {
            HoldBack::Holding(held) => Some(held.bytes),
            HoldBack::Empty | HoldBack::Released => None,
        }
    }
}
