//! A deadline that moves with every piece of data.
//!
//! Moving it costs nothing: the timer stays set for an earlier deadline, and is set again only when it fires.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

/// Fires at the deadline that it is polled with last.
#[derive(Default)]
pub struct MovingDeadline {
    /// Created when first needed, then reused.
    timer: Option<Pin<Box<Sleep>>>,
}

impl MovingDeadline {
    /// Ready when `due` has passed.
    pub fn poll(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        // It would fire too late.
        if due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= due {
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
    use std::time::Duration;

    const SOON: Duration = Duration::from_millis(20);
    const NEVER: Duration = Duration::from_secs(3600);

    async fn is_passed(deadline: &mut MovingDeadline, due: Instant) -> bool {
        poll_fn(|cx| Poll::Ready(deadline.poll(due, cx).is_ready())).await
    }

    #[tokio::test]
    async fn wakes_at_the_deadline_and_not_before() {
        let (mut deadline, due) = (MovingDeadline::default(), Instant::now() + SOON);
        poll_fn(|cx| deadline.poll(due, cx)).await;
        assert!(Instant::now() >= due);
        assert!(is_passed(&mut deadline, due).await);
    }

    #[tokio::test]
    async fn a_later_deadline_replaces_the_one_that_the_timer_is_set_for() {
        let (mut deadline, begun) = (MovingDeadline::default(), Instant::now());
        assert!(!is_passed(&mut deadline, begun + SOON).await);
        poll_fn(|cx| deadline.poll(begun + 2 * SOON, cx)).await;
        assert!(Instant::now() >= begun + 2 * SOON);
        assert!(!is_passed(&mut deadline, begun + NEVER).await);
    }

    #[tokio::test]
    async fn an_earlier_deadline_applies_at_once() {
        let (mut deadline, begun) = (MovingDeadline::default(), Instant::now());
        assert!(!is_passed(&mut deadline, begun + NEVER).await);
        poll_fn(|cx| deadline.poll(begun + SOON, cx)).await;
        assert!(Instant::now() < begun + NEVER);
    }
}
