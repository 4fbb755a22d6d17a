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
        Self {
            limit,
            waiting_since: None,
            alarm: None,
        }
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
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        loop {
            ready!(alarm.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn is_exhausted(patience: &mut Patience) -> bool {
        poll_fn(|cx| Poll::Ready(patience.poll_exhausted(cx).is_ready())).await
    }

    async fn wait(patience: &mut Patience) -> Duration {
        let begun = Instant::now();
        poll_fn(|cx| patience.poll_exhausted(cx)).await;
        begun.elapsed()
    }

    #[tokio::test]
    async fn it_ends_after_the_limit_and_not_before() {
        let mut patience = Patience::new(Duration::from_millis(50));
        assert!(!is_exhausted(&mut patience).await);
        assert!(wait(&mut patience).await >= Duration::from_millis(49));
        assert!(is_exhausted(&mut patience).await);
    }

    #[tokio::test]
    async fn each_reward_begins_a_new_wait() {
        let mut patience = Patience::new(Duration::from_millis(100));
        for _ in 0..2 {
            assert!(!is_exhausted(&mut patience).await);
            tokio::time::sleep(Duration::from_millis(70)).await;
            patience.rewarded();
        }
        assert!(wait(&mut patience).await >= Duration::from_millis(99));
    }

    #[tokio::test]
    async fn a_client_that_reads_slowly_does_not_use_it_up() {
        let mut patience = Patience::new(Duration::from_millis(30));
        assert!(!is_exhausted(&mut patience).await);
        patience.rewarded();
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(!is_exhausted(&mut patience).await);
    }

    #[tokio::test]
    async fn a_shorter_limit_takes_effect_at_once() {
        let mut patience = Patience::new(Duration::from_secs(60));
        assert!(!is_exhausted(&mut patience).await);
        patience.rewarded_with(Duration::from_millis(20));
        assert!(wait(&mut patience).await < Duration::from_secs(30));
    }
}
