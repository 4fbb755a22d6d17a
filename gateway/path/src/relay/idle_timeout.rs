//! An idle timeout for an upstream's next bytes.
//!
//! Time counts only while we poll the upstream and nothing arrives. While a slow client keeps us from polling, the upstream
//! is not idle.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A timeout that is reset by each piece of data.
pub struct IdleTimeout {
    limit: Duration,
    waiting_since: Option<Instant>,
    /// Created when first needed, then reused. It may fire early after a reset, never late.
    timer: Option<Pin<Box<Sleep>>>,
}

impl IdleTimeout {
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            waiting_since: None,
            timer: None,
        }
    }

    /// Data arrived. The next wait starts with the next poll that finds none.
    pub fn reset(&mut self) {
        self.waiting_since = None;
    }

    /// Data arrived, and from now on this is the limit.
    pub fn reset_to(&mut self, limit: Duration) {
        // A timer that is set for the longer limit would fire too late.
        if limit < self.limit {
            self.timer = None;
        }
        self.limit = limit;
        self.waiting_since = None;
    }

    /// No data has arrived: ready when the limit has passed.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // The wait begins here, with the first poll that finds nothing, and not with the last data: between the two a
        // slow client may have kept us from polling.
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let due = since + self.limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        loop {
            ready!(timer.as_mut().poll(cx));
            // The timer was set for an earlier wait: set it again.
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn is_expired(idle_timeout: &mut IdleTimeout) -> bool {
        poll_fn(|cx| Poll::Ready(idle_timeout.poll_expired(cx).is_ready())).await
    }

    async fn wait(idle_timeout: &mut IdleTimeout) -> Duration {
        let begun = Instant::now();
        poll_fn(|cx| idle_timeout.poll_expired(cx)).await;
        begun.elapsed()
    }

    #[tokio::test]
    async fn expires_after_the_limit() {
        let mut idle_timeout = IdleTimeout::new(Duration::from_millis(50));
        assert!(!is_expired(&mut idle_timeout).await);
        assert!(wait(&mut idle_timeout).await >= Duration::from_millis(49));
        assert!(is_expired(&mut idle_timeout).await);
    }

    #[tokio::test]
    async fn each_reset_starts_a_new_wait() {
        let mut idle_timeout = IdleTimeout::new(Duration::from_millis(100));
        for _ in 0..2 {
            assert!(!is_expired(&mut idle_timeout).await);
            tokio::time::sleep(Duration::from_millis(70)).await;
            idle_timeout.reset();
        }
        assert!(wait(&mut idle_timeout).await >= Duration::from_millis(99));
    }

    #[tokio::test]
    async fn time_between_polls_does_not_count() {
        let mut idle_timeout = IdleTimeout::new(Duration::from_millis(30));
        assert!(!is_expired(&mut idle_timeout).await);
        idle_timeout.reset();
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(!is_expired(&mut idle_timeout).await);
    }

    #[tokio::test]
    async fn a_shorter_limit_applies_at_once() {
        let mut idle_timeout = IdleTimeout::new(Duration::from_secs(60));
        assert!(!is_expired(&mut idle_timeout).await);
        idle_timeout.reset_to(Duration::from_millis(20));
        assert!(wait(&mut idle_timeout).await < Duration::from_secs(30));
    }
}
