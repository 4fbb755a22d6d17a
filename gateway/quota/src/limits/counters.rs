//! What is counted for one limit.

use std::sync::Mutex;
use std::time::Duration;

use super::window::{Part, SlidingWindow};
use gateway_base::lock::lock;
use gateway_base::quota::{Exhausted, Limit, Period, RateWindow, WindowCounts};

/// Shared by the requests that a limit applies to.
#[derive(Default)]
pub(super) struct Counters {
    // Held for one addition. The counters of two limits are never locked together.
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    requests: [Option<SlidingWindow>; 3],
    tokens: [Option<SlidingWindow>; 3],
    max_concurrent: Option<u64>,
    concurrent: u64,
    refused: u64,
}

/// What a limit counts at a moment.
pub(super) struct Counted {
    pub requests: [Option<u64>; 3],
    pub tokens: [Option<u64>; 3],
    pub concurrent: u64,
    pub refused: u64,
}

/// The parts of windows that something was taken from.
pub(super) type Parts = [Option<Part>; 3];

/// Why nothing was taken.
pub(super) struct Full {
    pub what: Exhausted,
    pub retry_after: Duration,
}

/// A place becomes free when a request ends, which nothing predicts.
const PLACE_RETRY: Duration = Duration::from_secs(1);

impl Counters {
    /// Adopts the limit's numbers. Windows that stay keep their amounts.
    pub fn set(&self, limit: &Limit, now: Duration) {
        let mut inner = lock(&self.inner);
        set_windows(&mut inner.requests, limit.requests, now);
        set_windows(&mut inner.tokens, limit.tokens, now);
        inner.max_concurrent = limit.concurrent;
    }

    /// Takes one request and one place.
    pub fn enter(&self, now: Duration) -> Result<Parts, Full> {
        let mut inner = lock(&self.inner);
        if inner
            .max_concurrent
            .is_some_and(|max| inner.concurrent >= max)
        {
            inner.refused += 1;
            return Err(Full {
                what: Exhausted::Concurrent,
                retry_after: PLACE_RETRY,
            });
        }
        match take(&mut inner.requests, 1, now) {
            Ok(parts) => {
                inner.concurrent += 1;
                Ok(parts)
            }
            Err((period, retry_after)) => {
                inner.refused += 1;
                Err(Full {
                    what: Exhausted::Requests(period),
                    retry_after,
                })
            }
        }
    }

    /// Undoes [`Self::enter`]: another limit refused the request.
    pub fn undo_enter(&self, parts: Parts, now: Duration) {
        let mut inner = lock(&self.inner);
        give_back(&mut inner.requests, 1, parts, now);
        inner.concurrent = inner.concurrent.saturating_sub(1);
    }

    /// Gives the place back: the request has ended.
    pub fn leave(&self) {
        let mut inner = lock(&self.inner);
        inner.concurrent = inner.concurrent.saturating_sub(1);
    }

    pub fn take_tokens(&self, tokens: u64, now: Duration) -> Result<Parts, Full> {
        let mut inner = lock(&self.inner);
        take(&mut inner.tokens, tokens, now).map_err(|(period, retry_after)| {
            inner.refused += 1;
            Full {
                what: Exhausted::Tokens(period),
                retry_after,
            }
        })
    }

    /// Corrects what was taken to what was used.
    pub fn settle_tokens(&self, taken: u64, used: u64, parts: Parts, now: Duration) {
        let mut inner = lock(&self.inner);
        match used.checked_sub(taken) {
            None => give_back(&mut inner.tokens, taken - used, parts, now),
            Some(0) => {}
            Some(more) => {
                for window in inner.tokens.iter_mut().flatten() {
                    window.charge(more, now);
                }
            }
        }
    }

    pub fn counted(&self, now: Duration) -> Counted {
        let mut inner = lock(&self.inner);
        let mut sums = |windows: fn(&mut Inner) -> &mut [Option<SlidingWindow>; 3]| {
            let windows = windows(&mut inner).each_mut();
            windows.map(|window| window.as_mut().map(|window| window.sum(now)))
        };
        let requests = sums(|inner| &mut inner.requests);
        let tokens = sums(|inner| &mut inner.tokens);
        Counted {
            requests,
            tokens,
            concurrent: inner.concurrent,
            refused: inner.refused,
        }
    }

    /// Of requests and of tokens, the window with the least left.
    pub fn tightest(&self, now: Duration) -> [Option<RateWindow>; 2] {
        let mut inner = lock(&self.inner);
        let requests = tightest(&mut inner.requests, now);
        [requests, tightest(&mut inner.tokens, now)]
    }
}

fn lengths() -> [Duration; 3] {
    WindowCounts::PERIODS.map(|period| {
        Duration::from_secs(match period {
            Period::Minute => 60,
            Period::Hour => 3600,
            _ => 86_400,
        })
    })
}

fn set_windows(windows: &mut [Option<SlidingWindow>; 3], rates: WindowCounts, now: Duration) {
    for ((window, count), length) in windows.iter_mut().zip(rates.counts()).zip(lengths()) {
        match (window.as_mut(), count) {
            (Some(window), Some(count)) => window.set_limit(count),
            (_, count) => *window = count.map(|count| SlidingWindow::new(count, length, now)),
        }
    }
}

/// From all windows, or from none.
fn take(
    windows: &mut [Option<SlidingWindow>; 3],
    amount: u64,
    now: Duration,
) -> Result<Parts, (Period, Duration)> {
    let mut parts = Parts::default();
    let mut refused = None;
    for ((window, part), period) in windows
        .iter_mut()
        .zip(&mut parts)
        .zip(WindowCounts::PERIODS)
    {
        let Some(window) = window else { continue };
        match window.take(amount, now) {
            Ok(taken) => *part = Some(taken),
            Err(retry_after) => {
                refused = Some((period, retry_after));
                break;
            }
        }
    }
    let Some(refused) = refused else {
        return Ok(parts);
    };
    give_back(windows, amount, parts, now);
    Err(refused)
}

fn give_back(windows: &mut [Option<SlidingWindow>; 3], amount: u64, parts: Parts, now: Duration) {
    for (window, part) in windows.iter_mut().zip(parts) {
        if let (Some(window), Some(part)) = (window, part) {
            window.give_back(amount, part, now);
        }
    }
}

fn tightest(windows: &mut [Option<SlidingWindow>; 3], now: Duration) -> Option<RateWindow> {
    let windows = windows.iter_mut().flatten().map(|window| RateWindow {
        limit: window.limit(),
        remaining: window.remaining(now),
        reset: match window.sum(now) {
            0 => Duration::ZERO,
            _ => window.until(window.limit(), now),
        },
    });
    windows.min_by_key(|window| window.remaining)
}
