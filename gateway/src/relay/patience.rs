//! How long to wait for an upstream's next bytes.
//!
//! The clock runs only while we are asking and nothing comes. A client that reads slowly keeps us from asking, and
//! that is not the upstream's silence.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// One waiting period after another.
pub struct Patience {
    limit: Duration,
    waiting_since: Option<Instant>,
    /// Made when first needed and then reused; it may fire early, never late.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub fn new(limit: Duration) -> Self {
        Self { limit, waiting_since: None, alarm: None }
    }

    /// Something came. The next wait begins when we next have to.
    pub fn rewarded(&mut self) {
        self.waiting_since = None;
    }

    /// Something came, and from now on this is how long to wait.
    pub fn rewarded_with(&mut self, limit: Duration) {
        if limit < self.limit {
            self.alarm = None;
        }
        self.limit = limit;
        self.waiting_since = None;
    }

    /// Nothing is there yet: ready when it has taken too long.
    pub fn poll_exhausted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let due = since + self.limit;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        loop {
            ready!(alarm.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(due);
        }
    }
}
